"""The roles a process may play."""
