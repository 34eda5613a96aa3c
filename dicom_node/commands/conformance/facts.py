"""What the node sends, makes and looks at, found by asking its code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import groupby

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag

import dicom_node
from dicom_node.domain.errors import GiveUp, NodeError, NotTaken, TryAgain
from dicom_node.domain.exchange.destinations import wanting_rejection
from dicom_node.domain.exchange.substitution import ObjectForm, fallbacks
from dicom_node.domain.study import SRClass
from dicom_node.formats.dicom.header import describe, spacing
from dicom_node.network.dimse.answers import judge_store
from dicom_node.results.common import ReportContext
from dicom_node.results.example import example
from dicom_node.results.registry import BUILDERS
from dicom_node.settings.settings import Settings

MADE_AT = 1_767_348_672.0
"""When the examples are made (POSIX s); any time will do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A result object of the made-up finding."""

    form: ObjectForm
    ds: Dataset

    @property
    def syntax_uid(self) -> str:
        """The transfer syntax that it is written in."""
        return str(self.ds.file_meta.TransferSyntaxUID)


def sent_to(settings: Settings, name: str) -> tuple[ObjectForm, ...]:
    """List all that a destination may get: what routes ask for, and what stands in for it."""
    classes: dict[str, SRClass] = {peer.name: peer.sr_class for peer in settings.peers}
    classes |= {server.name: server.sr_class for server in settings.stow}
    kinds = [kind for route in settings.routes if name in route.send_to for kind in route.outputs]
    if any(route.report_not_analysed for route in settings.routes if name in route.send_to):
        kinds.append("text_sr")
    if name in wanting_rejection(settings.peers, settings.stow):
        kinds.append("kos")  # the class of rejection notes too
    every = (form for kind in kinds for form in fallbacks(kind, classes[name]))
    return tuple({form.sop_class_uid: form for form in every}.values())


def results(settings: Settings) -> tuple[Made, ...]:
    """Make one object of every class that any destination may get."""
    names = dict.fromkeys(name for route in settings.routes for name in route.send_to)
    every = {form.sop_class_uid: form for name in names for form in sent_to(settings, name)}
    return tuple(_made(form) for form in every.values())


@cache
def _made(form: ObjectForm) -> Made:
    context = ReportContext(MADE_AT, dicom_node.__version__, sr_class=form.sr_class)
    made = BUILDERS[form.kind](example(), context)
    if made is None:
        raise GiveUp(f"the example gives no {form}")
    return Made(form, dcmread(BytesIO(made.content)))


def templates(ds: Dataset) -> tuple[str, ...]:
    """Name the templates of a report in the order in which they are used."""
    return tuple(dict.fromkeys(_templates(ds)))


def _templates(ds: Dataset) -> Iterator[str]:
    for item in ds.get("ContentTemplateSequence", []):
        yield str(item.TemplateIdentifier)
    for child in ds.get("ContentSequence", []):
        yield from _templates(child)


def coded_in(ds: Dataset) -> set[tuple[str, str]]:
    """List the codes (value, scheme) that an object holds at any depth."""
    return {
        (str(item.CodeValue), str(item.CodingSchemeDesignator))
        for item in _nested(ds)
        if "CodeValue" in item
    }


def value_types(ds: Dataset) -> set[str]:
    """List the value types of a report's content items."""
    return {str(item.ValueType) for item in _nested(ds) if "ValueType" in item}


def _nested(ds: Dataset) -> Iterator[Dataset]:
    yield ds
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _nested(item)


class _Watched(Dataset):
    """Remembers which attributes it was asked for."""

    asked: set[int]

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str | int):
            self.asked.add(int(Tag(name)))
        return False  # there is nothing in it


def looked_at() -> tuple[str, ...]:
    """Name the attributes that rules, side and millimetres depend on."""
    watched = _Watched()
    watched.__dict__["asked"] = set()
    describe(watched)
    spacing(watched)
    return tuple(sorted(filter(None, map(keyword_for_tag, watched.__dict__["asked"]))))


@dataclass(frozen=True, slots=True)
class Fate:
    """What the node does after an answer."""

    words: str
    behaviour: str


ARRIVED = "delivered"
AGAIN = "repeated with growing pauses"
PLAINER = "a plainer object is sent instead; where there is none, it is a dead letter"
DEAD = "not repeated; dead letter, shown to a person"


def fate_of(judge: Callable[[], str]) -> Fate:
    """Say what follows from an answer, by judging it."""
    try:
        return Fate(judge(), ARRIVED)
    except NotTaken as error:
        return Fate(str(error), PLAINER)
    except TryAgain as error:
        return Fate(str(error), AGAIN)
    except NodeError as error:
        return Fate(str(error), DEAD)


@cache
def store_fates() -> tuple[tuple[str, Fate], ...]:
    """Judge every status that a C-STORE may be answered with; gives ranges."""
    judged = [(code, _store_fate(code)) for code in range(0x10000)]
    ranges = []
    for fate, group in groupby(judged, key=lambda judgement: judgement[1]):
        codes = [code for code, _ in group]
        first, last = f"{codes[0]:04X}", f"{codes[-1]:04X}"
        ranges.append((first if first == last else f"{first}-{last}", fate))
    return tuple(ranges)


def _store_fate(code: int) -> Fate:
    fate = fate_of(lambda: judge_store(code))
    return Fate(fate.words.partition(" ")[2], fate.behaviour)
