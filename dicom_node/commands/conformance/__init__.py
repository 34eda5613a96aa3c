"""The conformance statement, written from the configuration."""
