"""The story of a study, as plain functions."""
