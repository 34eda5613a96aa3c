"""What a peer gets when it does not take what a route sends.

Every kind of result has forms, ever plainer objects that say the same: the first
that the peer accepts goes out. A key object note has nothing below it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dicom_node.domain.study import SRClass
from dicom_node.domain.work import OutputKind

SOP_CLASSES: Mapping[OutputKind, str] = {
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "text_sr": "1.2.840.10008.5.1.4.1.1.88.11",
    "sc": "1.2.840.10008.5.1.4.1.1.7",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
    "kos": "1.2.840.10008.5.1.4.1.1.88.59",
    "pdf": "1.2.840.10008.5.1.4.1.1.104.1",
}
"""What each kind is stored as (PS3.4 B.5); an "sr" has a class of the peer's choice."""
SR_SOP_CLASSES: Mapping[SRClass, str] = {
    "comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}
SR_CLASSES: tuple[SRClass, ...] = ("comprehensive3d", "comprehensive", "enhanced")
"""From the richest to the plainest."""
BELOW: dict[OutputKind, tuple[OutputKind, ...]] = {
    "sr": ("text_sr", "sc"),
    "text_sr": ("sc",),
    "pdf": ("text_sr", "sc"),
    "seg": ("sc",),
    "gsps": ("sc",),
    "sc": (),
    "kos": (),
}
"""What stands in for each kind, in order."""


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """A kind of result in the form that a peer is asked to take."""

    kind: OutputKind
    sr_class: SRClass = "comprehensive"

    @property
    def sop_class_uid(self) -> str:
        """What it is stored as."""
        return SR_SOP_CLASSES[self.sr_class] if self.kind == "sr" else SOP_CLASSES[self.kind]

    def __str__(self) -> str:
        """Name it for people."""
        return f"sr ({self.sr_class})" if self.kind == "sr" else self.kind


def form_of(kind: OutputKind, sop_class_uid: str) -> ObjectForm:
    """Tell the form of an object that exists."""
    classes = {uid: sr_class for sr_class, uid in SR_SOP_CLASSES.items()}
    return ObjectForm(kind, classes.get(sop_class_uid, "comprehensive"))


def fallbacks(kind: OutputKind, sr_class: SRClass) -> tuple[ObjectForm, ...]:
    """List the forms from the wanted object down; `sr_class` is the peer's setting."""
    if kind != "sr":
        wanted: tuple[ObjectForm, ...] = (ObjectForm(kind, sr_class),)
    else:
        wanted = tuple(
            ObjectForm("sr", plainer) for plainer in SR_CLASSES[SR_CLASSES.index(sr_class) :]
        )
    return (*wanted, *(ObjectForm(below, sr_class) for below in BELOW[kind]))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How a destination is reached, and what it takes."""

    protocol: Literal["dicom", "stow"] = "dicom"
    sr_class: SRClass = "comprehensive"
    refused: frozenset[str] = frozenset()
    """SOP classes that it has refused lately."""
    wants_rejection: bool = False
    """It gets a rejection note (IHE IOCM) for what later results replace."""

    def wanted(self, kind: OutputKind) -> ObjectForm:
        """Give the form in which it is to have a kind of result."""
        return fallbacks(kind, self.sr_class)[0]

    def form(self, kind: OutputKind) -> ObjectForm:
        """Give the form in which it takes a kind of result."""
        return choose(kind, self.sr_class, lambda form: form.sop_class_uid in self.refused)


def choose(
    kind: OutputKind, sr_class: SRClass, refused: Callable[[ObjectForm], bool]
) -> ObjectForm:
    """Choose the first form that the peer has not refused.

    Where it refuses them all the wanted one is left: it becomes a dead letter that
    a person sees.
    """
    forms = fallbacks(kind, sr_class)
    return next((form for form in forms if not refused(form)), forms[0])
