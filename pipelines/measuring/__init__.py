"""How well a reader reads, in tables, curves and pages."""
