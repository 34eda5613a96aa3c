"""Conformance statements, generated from configuration and code."""
