"""What a PACS is asked for, and what it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from dicom_node.domain.errors import GiveUp, NodeError, Refused, TryAgain
from dicom_node.domain.reception import OUT_OF_RESOURCES

LONGEST_UID = 64


@dataclass(frozen=True, slots=True)
class Span:
    """Study dates from `first` to `last`, both included."""

    first: date
    last: date

    def days(self) -> Iterator[date]:
        """Yield each day, the oldest first."""
        for offset in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=offset)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One request for studies (PS3.4 C.6.2.1.2).

    `day` is a StudyDate, None for any; an empty accession number is any.
    """

    modality: str
    day: date | None = None
    accession_number: str = ""


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """One series that the PACS has; what it did not say is empty."""

    study_uid: str
    series_uid: str
    modality: str = ""
    body_part: str = ""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One instance that the PACS has; `sop_class_uid` is empty if it was not said."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


def usable_uid(text: str) -> str:
    """Give a UID that may be sent back; "" for one that is missing or unusable.

    A wildcard or a list in its place would ask for more than one object.
    """
    usable = len(text) <= LONGEST_UID and text.isascii() and text.replace(".", "").isalnum()
    return text if usable else ""


def fits(inquiry: Inquiry, modalities: tuple[str, ...], study_date: str, number: str) -> bool:
    """Say whether a study is one that was asked for; what the peer left out may fit."""
    return (
        (not modalities or inquiry.modality in modalities)
        and (not study_date or inquiry.day is None or study_date == f"{inquiry.day:%Y%m%d}")
        and (not number or inquiry.accession_number in ("", number))
    )


def refused_here(service: str, refusal: Refused) -> NodeError:
    """Say what follows when the node itself refuses an image that it asked for."""
    words = f"{service}: refused here: {refusal.comment}"
    return TryAgain(words) if refusal.status == OUT_OF_RESOURCES else GiveUp(words)


class Catalogue(Protocol):
    """A PACS that can be asked what it has.

    Each method raises TryAgain for a fault that may pass, GiveUp for a lasting one
    and BadSettings where the configuration, ours or the peer's, must change first.
    """

    @property
    def ae_title(self) -> str:
        """The calling AE title that images from here count as."""

    def studies(self, inquiry: Inquiry) -> tuple[str, ...]:
        """Give the UIDs of the studies that match."""

    def series(self, study_uid: str) -> tuple[FoundSeries, ...]:
        """Give the study's series."""

    def images(self, series: FoundSeries) -> tuple[FoundImage, ...]:
        """Give the series' instances."""


class Origin(Catalogue, Protocol):
    """A PACS that can also be asked for an image."""

    def fetch(self, image: FoundImage) -> str:
        """Have the image received; on return it is stored. Says how, in words."""
