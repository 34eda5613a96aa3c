"""Normal or abnormal: a score for the order of a worklist."""
