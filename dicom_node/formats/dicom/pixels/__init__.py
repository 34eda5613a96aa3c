"""From pixel data to what a display would show."""
