"""Sources and findings to make results of."""

from tests.support.reports import (
    built,
    complaints,
    context,
    make,
    negative,
    positive,
    radiograph,
    refused,
    source,
    tree,
)

__all__ = [
    "built",
    "complaints",
    "context",
    "make",
    "negative",
    "positive",
    "radiograph",
    "refused",
    "source",
    "tree",
]
