"""MLLP in and out, orders and acknowledgements."""
