"""The configured name of the abnormality pipeline."""
