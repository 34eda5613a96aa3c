"""Reading tasks: inference and training code side by side."""
