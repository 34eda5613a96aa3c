"""The console's role: status page, health and metrics."""
