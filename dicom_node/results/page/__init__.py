"""The report as a page (PDF)."""
