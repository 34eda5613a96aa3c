"""Reading tasks beside the eight findings on the same network."""
