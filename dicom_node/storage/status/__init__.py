"""What the node tells of itself, read from its rows."""
