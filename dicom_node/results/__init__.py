"""Findings to bytes: what a reader, a PACS or a RIS gets."""
