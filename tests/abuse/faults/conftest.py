"""A node turned by hand."""

from tests.support.node import (
    film,
    make_node,
)

__all__ = ["film", "make_node"]
