"""Films, and the shipped models."""

from tests.support.published import siim
from tests.support.readings import (
    answering,
    film,
    models_dir,
    noise,
    pipeline,
)

__all__ = ["answering", "film", "models_dir", "noise", "pipeline", "siim"]
