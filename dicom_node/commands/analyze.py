"""Read image files without a network and write the results."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

import dicom_node
from dicom_node.assembly.pipelines import load_gate, load_pipeline, readers
from dicom_node.commands.options import PATH
from dicom_node.domain.admission import Route, admit
from dicom_node.domain.errors import BadSettings, NotAnalysable
from dicom_node.domain.findings import Findings, finding_as_json, findings_as_json
from dicom_node.domain.regions import sets_of
from dicom_node.domain.study import HL7Destination
from dicom_node.domain.work import ReportObject
from dicom_node.flow.infer import InferenceContext, Reading, read
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.dicom.images import is_dicom, secondary_capture
from dicom_node.formats.dicom.pixels.radiograph import read_film
from dicom_node.process.logs import start_logs
from dicom_node.results.common import ExaminedImage, ReportContext
from dicom_node.results.messages import oru
from dicom_node.results.registry import BUILDERS
from dicom_node.settings.settings import Settings

Result = dict[str, Any]
"""The content of one `findings.json`."""
NODE = "CXRAI"
FAILED = "failed:"
"""How the reason begins of an image on which an error came that nobody foresaw."""


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("--out", type=PATH, required=True, metavar="DIR")
@click.option("--pipeline", "names", multiple=True, metavar="NAME")
@click.option("--device", default="auto")
@click.option("--json", "as_json", is_flag=True)
def analyze(
    paths: tuple[Path, ...], out: Path, names: tuple[str, ...], device: str, as_json: bool
) -> int:
    """Print a line an image; 1 where something could not be made. Raises BadSettings."""
    start_logs("console", "warning", "analyze")
    failed = False
    for result in results(paths, out, names, device):
        click.echo(json.dumps(result) if as_json else in_words(result))
        failed |= bool(result["not_made"]) or str(result["not_analysed"]).startswith(FAILED)
    return 1 if failed else 0


def results(
    paths: Sequence[Path], out: Path, names: tuple[str, ...], device: str
) -> Iterator[Result]:
    """Write a folder of results below `out` per image; yields each findings.json.

    Folders are searched for files. An image that cannot be read gets a
    `findings.json` with the reason. Raises BadSettings for a path that does not
    exist or an unknown pipeline.
    """
    files = list(_files(paths))
    defaults = Settings()
    settings = defaults.model_copy(
        update={"inference": defaults.inference.model_copy(update={"device": device})}
    )
    pipelines = {name: load_pipeline(settings, name) for name in names or readers(settings)}
    reader = InferenceContext(read_header, read_film, pipelines, load_gate(settings))
    taken: set[str] = set()
    for path in files:
        folder = out / _free_name(path.stem, taken)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = _analyze_one(path, folder, reader)
        except Exception as error:  # noqa: BLE001 - the batch's edge: a bad file costs only itself
            result = _result(path, "", f"{FAILED} {type(error).__name__}", None, ())
        (folder / "findings.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
        yield result


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        elif path.is_file():
            yield path
        else:
            raise BadSettings(f"{path}: no such file or folder")


def _free_name(stem: str, taken: set[str]) -> str:
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name


def _analyze_one(path: Path, folder: Path, reader: InferenceContext) -> Result:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            stored = path if is_dicom(path) else _convert(path, Path(scratch))
            instance = describe(read_header(stored))
            refusal = admit(instance, "", (Route("analyze"),)).not_analysed
            if refusal is not None:
                raise NotAnalysable(refusal)
        except NotAnalysable as error:
            return _result(path, "", str(error), None, ())
        reading = read(stored, tuple(reader.pipelines), reader)
    objects, not_made = _write_objects(reading, folder)
    reasons = [f.not_analysed for f in reading.findings if f.not_analysed is not None]
    refused = reasons[0] if len(reasons) == len(reading.findings) else None
    result = _result(path, instance.ref.sop_instance_uid, refused, reading, objects)
    return result | {"not_made": list(not_made)}


def _convert(path: Path, scratch: Path) -> Path:
    target = scratch / "image.dcm"
    secondary_capture(path).save_as(target, enforce_file_format=True)
    return target


def _write_objects(reading: Reading, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write every object that has something to say; gives file names, and what failed."""
    now = time.time()
    context = ReportContext(now, dicom_node.__version__, NODE)
    whole = ExaminedImage(reading.source, reading.radiograph, reading.findings)
    receiver = HL7Destination("file", "", 0, allow_empty_patient_id=True)
    made: dict[str, Callable[[], ReportObject | None]] = {
        "oru.hl7": partial(oru.build, whole, oru.HL7Context(now, receiver))
    }
    for kind, build in BUILDERS.items():
        parts = sets_of(kind, reading.findings)
        for part in parts:
            of = "" if len(parts) == 1 else f"-{part[0].algorithm.name}"
            made[f"{kind}{of}.dcm"] = partial(build, whole._replace(findings=part), context)
    written, not_made = [], []
    for name, build_it in made.items():
        try:
            content = build_it()
        except Exception as error:  # noqa: BLE001 - a builder's edge: one odd header costs one object
            not_made.append(f"{name}: {type(error).__name__}")
            continue
        if content is not None:
            written.append(_write(folder, name, content.content))
    return tuple(written), tuple(not_made)


def _write(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return name


def _result(
    path: Path, uid: str, refused: str | None, reading: Reading | None, objects: tuple[str, ...]
) -> Result:
    read_by = reading.findings if reading else ()
    pipelines = [findings_as_json(answer)["pipeline"] for answer in read_by]
    return {
        "source": str(path),
        "sop_instance_uid": uid or None,
        "not_analysed": refused,
        "pipeline": pipelines[0] if pipelines else None,
        "pipelines": pipelines,
        "findings": [finding_as_json(finding) for answer in read_by for finding in answer.findings],
        "notes": list(reading.radiograph.notes) if reading and reading.radiograph else [],
        "objects": list(objects),
        "not_made": [],
        "timings_ms": _timings(read_by),
    }


def _timings(read_by: tuple[Findings, ...]) -> dict[str, float]:
    """Add up each step over the pipelines; what was done once for all counts once."""
    total: dict[str, float] = {}
    for answer in read_by:
        for name, spent in answer.timings_ms.items():
            once = all(other.timings_ms.get(name) == spent for other in read_by)
            total[name] = spent if once else total.get(name, 0.0) + spent
    return {name: round(spent, 1) for name, spent in total.items()}


def in_words(result: Result) -> str:
    """Say one result in a line for a terminal."""
    source = Path(str(result["source"])).name
    if result["not_analysed"] is not None:
        return f"{source}: not analysed: {result['not_analysed']}"
    return f"{source}: " + "; ".join(map(_in_words, result["findings"]))


def _in_words(finding: dict[str, Any]) -> str:
    name, present = finding["code"]["meaning"].lower(), finding["present"]
    words = f"{name} {present} (p={finding['probability']:.2f})"
    if present == "present":
        words += f", {finding['side']} side" if finding["side"] != "undetermined" else ""
        words += "".join(f", {_measured(m)}" for m in finding["measurements"])
    return words + (", URGENT" if finding["urgent"] else "")


def _measured(measurement: dict[str, Any]) -> str:
    unit = "" if measurement["unit"] == "1" else f" {measurement['unit'].strip('{}')}"
    return f"{measurement['name']} {measurement['value']}{unit}"
