"""A node turned by hand, as the tests of the ladder have it."""

from tests.negotiation.conftest import film, make_ward

__all__ = ["film", "make_ward"]
