"""What every task trains with."""
