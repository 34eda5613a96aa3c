"""The example's message."""

from tests.support.oru_messages import (
    say,
)

__all__ = ["say"]
