"""The parts of a node, put together from its settings."""
