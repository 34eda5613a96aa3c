"""Values and rules: frozen, no I/O, no clock."""
