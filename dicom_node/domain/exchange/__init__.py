"""Values of the talk with peers, servers and receivers."""
