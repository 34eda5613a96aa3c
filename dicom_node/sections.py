"""Sections of the configuration file."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the file: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ReconcileSection(Section):
    """The nightly comparison with a PACS; off without a peer."""

    peer: str = ""
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "03:00"
    days: Annotated[int, Field(ge=1, le=31)] = 2
    fetch: bool = False
