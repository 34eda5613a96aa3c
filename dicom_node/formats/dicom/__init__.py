"""DICOM data sets, headers and files."""
