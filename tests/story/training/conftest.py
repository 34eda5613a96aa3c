"""The shipped models."""

from tests.support.published import siim
from tests.support.readings import (
    models_dir,
)

__all__ = ["models_dir", "siim"]
