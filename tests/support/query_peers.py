"""A PACS of C-FIND, C-GET and C-MOVE that answers as a test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.domain.exchange.retrieval import FoundImage, Inquiry
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES
from dicom_node.network.dimse.query import STUDY_ROOT_FIND, QueryOrigin, Terms
from dicom_node.network.dimse.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from tests.support.dimse_peers import running_scp

CR = IMAGE_CLASSES[0]


IMAGE = FoundImage("1.2", "1.2.1", "1.2.3", CR)


QUESTION = Inquiry("CR", date(2026, 11, 1))


Answers = Iterator[Any]


@contextmanager
def pacs(
    find: Callable[[Event], Answers] | None = None,
    get: Callable[[Event], Answers] | None = None,
    move: Callable[[Event], Answers] | None = None,
    *,
    roles: bool = True,
) -> Iterator[Target]:
    """Run a PACS that answers as scripted; no service where nothing is scripted."""
    services = ((STUDY_ROOT_FIND, find), (STUDY_ROOT_GET, get), (STUDY_ROOT_MOVE, move))

    def prepare(ae: AE) -> None:
        for uid, script in services:
            if script is not None:
                ae.add_supported_context(uid)
        for kind in IMAGE_CLASSES:
            ae.remove_supported_context(kind)
            role = roles or None
            ae.add_supported_context(kind, list(IMAGE_SYNTAXES), scu_role=role, scp_role=role)

    events = zip((evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE), services, strict=True)
    extra: list[Any] = [(event, script) for event, (_, script) in events if script is not None]
    with running_scp(classes=(), prepare_ae=prepare, extra=extra) as scp:
        yield scp.target


def match(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        vr = dictionary_VR(keyword)
        ds.add(DataElement(keyword, vr, value, validation_mode=IGNORE))
    return ds


def find_of(*answers: tuple[int, Dataset | None]) -> Callable[[Event], Answers]:
    def find(event: Event) -> Answers:
        yield from answers

    return find


@contextmanager
def asking(target: Target) -> Iterator[QueryOrigin]:
    origin = QueryOrigin(target, Terms(()))
    try:
        yield origin
    finally:
        origin.close()


def study(uid: str, **values: object) -> tuple[int, Dataset]:
    return 0xFF00, match(StudyInstanceUID=uid, **values)
