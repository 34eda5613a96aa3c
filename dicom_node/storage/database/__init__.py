"""Engine, transactions, clock and schema of both databases."""
