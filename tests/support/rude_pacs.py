"""A PACS that answers badly half of the time, and keeps what it says it keeps."""

import random
from pathlib import Path
from types import TracebackType
from typing import Self

from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at run time

from dicom_node.assembly.negotiation import CLASSES
from dicom_node.network.dimse.scu import NATIVE
from tests.support.listeners import free_port

MANNERS = ("A700", "0110", "B000", "abort", "abort after storing", "stored", "stored", "stored")
RUDE_ANSWERS = ("close", "AR", "close")
"""What the HL7 receiver says before it is good: answers that pass."""


class RudePacs:
    """Takes Storage contexts; `manners` says how often it was what."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.port = folder, free_port()
        self.manners: dict[str, int] = {}
        self._dice = random.Random(seed)  # noqa: S311 - a repeatable campaign
        self._ae = AE("PACS")
        for sop_class in (*CLASSES, Verification):
            self._ae.add_supported_context(sop_class, NATIVE)

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.dcm"))

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = self._ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _store(self, event: Event) -> int:
        manner = self._dice.choice(MANNERS)
        self.manners[manner] = self.manners.get(manner, 0) + 1
        if manner in ("stored", "B000", "abort after storing"):
            ds = event.dataset
            ds.file_meta = event.file_meta
            ds.save_as(self.folder / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
        if manner.startswith("abort"):
            event.assoc.abort()
            return 0x0110
        return 0x0000 if manner == "stored" else int(manner, 16)
