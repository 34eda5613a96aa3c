"""Bytes that others define, as values."""
