"""Findings as DICOM objects, one kind a file."""
