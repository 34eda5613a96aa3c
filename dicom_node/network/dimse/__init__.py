"""DIMSE as provider and user."""
