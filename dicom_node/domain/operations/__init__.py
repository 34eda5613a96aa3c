"""Values of watching and running a node."""
