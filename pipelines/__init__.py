"""Reading tasks: inference and training, side by side."""
