"""What the node keeps: files, rows, models."""
