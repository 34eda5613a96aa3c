"""A DICOM network node that reads chest radiographs."""
