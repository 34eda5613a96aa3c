"""The protocols by which the node meets others."""
