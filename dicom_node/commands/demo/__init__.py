"""A whole hospital on loopback."""
