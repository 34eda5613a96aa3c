"""A node turned by hand."""

from tests.support.ward import (
    film,
    make_ward,
)

__all__ = ["film", "make_ward"]
