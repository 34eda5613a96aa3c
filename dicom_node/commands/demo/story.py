"""What happened to the demo's studies, for people."""

from collections.abc import Mapping
from pathlib import Path

from hl7apy.parser import parse_message
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from rich.console import Console
from rich.table import Table

from dicom_node.domain.operations.status import Moment

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENDS = ("delivered", "committed", "discarded")
UNTOLD = ("MSH_1", "MSH_2", "PID_1", "PV1_1", "OBR_1", "OBX_1", "OBX_2", "OBX_4", "OBX_14", "NTE_1")
"""HL7 fields that number and type the others."""
DICOM_STUDY = "113014^DICOM Study^DCM"
"""The OBX-3 whose value is the Study Instance UID."""


def print_timeline(name: str, moments: tuple[Moment, ...], urgent: bool, console: Console) -> None:
    """Print each step of one study with milliseconds since its reception."""
    title = f"{name}: {_outcome(moments)}{'  [bold red]URGENT[/]' if urgent else ''}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head, side in (("ms", "right"), ("+ms", "right"), ("step", "left"), ("", "left")):
        table.add_column(head, justify=side)  # type: ignore[arg-type] # a literal of rich
    first = last = moments[0].at if moments else 0.0
    for moment in moments:
        since, step_ms = 1000 * (moment.at - first), 1000 * (moment.at - last)
        words = f"{moment.what}  {moment.words}" if moment.step in ENDS else moment.what
        table.add_row(f"{since:.0f}", f"{step_ms:.0f}", moment.step, words)
        last = moment.at
    console.print(table)
    console.print()


def _outcome(moments: tuple[Moment, ...]) -> str:
    received = [moment.words for moment in moments if moment.step == "received"]
    return received[0] if received else "not received"


def urgent_studies(messages: list[str]) -> set[str]:
    """Give the Study Instance UIDs that HL7 messages speak of."""
    fields = [line.split("|") for message in messages for line in message.split("\r")]
    return {field[5] for field in fields if field[0] == "OBX" and field[3:4] == [DICOM_STUDY]}


def print_results(
    received: list[Path], names: Mapping[str, str], urgent: set[str], console: Console
) -> None:
    """List what the PACS got, study by study."""
    table = Table(title="What came back to the PACS", title_justify="left")
    for head in ("study", "", "object", "series", "kB"):
        table.add_column(head)
    for path in received:
        ds = dcmread(path, stop_before_pixels=True)
        study_uid = str(ds.StudyInstanceUID)
        table.add_row(
            names.get(study_uid, study_uid),
            "[bold red]URGENT[/]" if study_uid in urgent else "",
            UID(ds.SOPClassUID).name.removesuffix(" Storage"),
            str(ds.get("SeriesDescription", "")),
            f"{path.stat().st_size / 1000:.0f}",
        )
    console.print(table)


def print_message(message: str, path: Path, console: Console) -> None:
    """Print an HL7 message by its fields' names, and write it to `path` as received."""
    path.write_text(message, encoding="utf-8", newline="")
    table = Table(title=f"HL7 ORU^R01 as the RIS received it ({path})", title_justify="left")
    for head in ("segment", "field", "value"):
        table.add_column(head)
    for segment in parse_message(message, find_groups=False).children:
        name = segment.name
        for field in segment.children:
            if field.name not in UNTOLD and field.value:
                words = (field.long_name or field.name).replace("_", " ").lower()
                table.add_row(name, words, _value(field.value))
                name = ""
    console.print(table)


def _value(text: str) -> str:
    """Give a coded value's meaning before its code."""
    parts = text.split("^")
    return f"{parts[1]} ({parts[0]}, {parts[2]})" if len(parts) == 3 and all(parts) else text


def save_overlays(received: list[Path], names: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the secondary captures as PNG; returns the files."""
    saved = []
    for path in received:
        ds = dcmread(path)
        if ds.SOPClassUID == SECONDARY_CAPTURE:
            name = names.get(str(ds.StudyInstanceUID), path.stem)
            saved.append(folder / f"overlay-{name}.png")
            _picture(ds).save(saved[-1])
    return saved


def _picture(ds: Dataset) -> Image.Image:
    return Image.fromarray(ds.pixel_array)
