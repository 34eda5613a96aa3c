"""A node that listens for STOW-RS."""

from tests.support.stow_node import (
    start,
)

__all__ = ["start"]
