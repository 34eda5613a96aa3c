"""Archives of every kind."""

from tests.support.archives import (
    archive,
    opened,
    s3,
)

__all__ = ["archive", "opened", "s3"]
