"""An S3 server."""

from tests.support.archives import (
    s3,
)

__all__ = ["s3"]
