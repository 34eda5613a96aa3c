"""A node with an audit trail."""

from tests.support.audit import (
    settings,
)

__all__ = ["settings"]
