"""TLS contexts, sockets and certificates."""
