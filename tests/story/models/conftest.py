"""Sites and phantoms for the life of models."""

from tests.support.sites import (
    make_site,
    phantoms,
    site,
)

__all__ = ["make_site", "phantoms", "site"]
