"""Sections of the configuration file."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table of the file: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DicomwebSection(Section):
    """Receiving over HTTP by STOW-RS; off while the port is 0."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    token_file: str = ""
    max_requests: Annotated[int, Field(ge=1, le=256)] = 8
    max_object_mb: Annotated[int, Field(ge=1, le=4096)] = 128
    max_request_mb: Annotated[int, Field(ge=1, le=65536)] = 1024


class ReconcileSection(Section):
    """The nightly comparison with a PACS; off without a peer."""

    peer: str = ""
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "03:00"
    days: Annotated[int, Field(ge=1, le=31)] = 2
    fetch: bool = False


class OrdersSection(Section):
    """Hearing orders and patient updates by HL7 over MLLP; off while the port is 0."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    callers: tuple[str, ...] = ()
    processing_id: Annotated[str, Field(pattern=r"^[PTD]$")] = "P"
    max_connections: Annotated[int, Field(ge=1, le=1024)] = 16
    idle_s: Annotated[float, Field(gt=0)] = 300

    @model_validator(mode="after")
    def _callers_are_named(self) -> "OrdersSection":
        if self.port and not self.callers:
            raise ValueError('orders.callers is empty: name who may call; ["*"] is anybody')
        return self


def beside(folder: Path, path: str) -> str:
    """Make a path absolute, starting from the file's folder; "" stays."""
    return str(folder / path) if path else ""
