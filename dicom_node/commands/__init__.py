"""The commands of `dicom-node`."""
