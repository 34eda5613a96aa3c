"""Pneumonia of adults and of children on frontal chest radiographs."""
