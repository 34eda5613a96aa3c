"""Findings to bytes: one kind of object per file."""
