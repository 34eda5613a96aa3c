"""The overlay that a person can read."""
