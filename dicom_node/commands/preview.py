"""Show the message that a study would give, without sending it."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from dicom_node.assembly import builders
from dicom_node.assembly import parts as node
from dicom_node.assembly.pipelines import reader
from dicom_node.domain.admission import admit
from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.domain.exchange.destinations import Receiver
from dicom_node.domain.exchange.orders import UNREGISTERED, Registered
from dicom_node.domain.study import HL7Destination
from dicom_node.flow.infer import PipelineRequest, run_pipelines
from dicom_node.formats.dicom.header import describe, read_header
from dicom_node.formats.hl7 import text
from dicom_node.formats.hl7.segments import judge
from dicom_node.results.common import ExaminedImage
from dicom_node.results.example import example
from dicom_node.settings.settings import Settings
from dicom_node.storage.status.status import stored_of_study


def messages(settings: Settings, study_uid: str, to: str) -> Iterator[str]:
    """Read a stored study again and yield each image's message, readable.

    Nothing is stored and nothing is sent. Raises BadSettings for a receiver that
    the configuration lacks, GiveUp where the study is not stored or gives no message.
    """
    receiver = _receiver(settings, to)
    with closing(node.open_parts(settings)) as parts, ExitStack() as files:
        stored = stored_of_study(parts.engine, study_uid)
        paths = [(files.enter_context(parts.archive.opened(key)), ae) for key, ae in stored]
        known = {
            path: builders.registered_order(settings, parts.engine, read_header(path))
            for path, _ in paths
        }
        yield from _messages(settings, receiver, study_uid, paths, known)


def _messages(
    settings: Settings,
    receiver: Receiver,
    study_uid: str,
    paths: list[tuple[Path, str]],
    known: dict[Path, Registered],
) -> Iterator[str]:
    if not paths:
        raise GiveUp(f"study {study_uid}: no image of it is stored here (any more)")
    eyes, reasons = reader(settings), []
    for path, calling_ae in paths:
        admission = admit(describe(read_header(path)), calling_ae, settings.routes)
        if admission.not_analysed is not None:
            reasons.append(admission.not_analysed)
            continue
        choices = {route.name: route.choice for route in settings.routes}
        requests = tuple(
            PipelineRequest(job.pipeline, choices[job.routes[0]]) for job in admission.jobs
        )
        found = run_pipelines(path, requests, eyes)
        seen = ExaminedImage(found.source, found.radiograph, found.findings)
        made = builders.message(settings, receiver, seen, known[path], time.time())
        if made is not None:
            yield _readable(made.content, receiver)
        else:
            refused = [answer.not_analysed for answer in found.findings if answer.not_analysed]
            reasons.append(refused[0] if refused else "no patient identifier")
    if len(reasons) == len(paths):
        raise GiveUp(f"study {study_uid}: no message: {'; '.join(dict.fromkeys(reasons))}")


def example_message(settings: Settings, to: str) -> str:
    """Give a receiver's message of a made-up finding, readable.

    Needs no database. Raises BadSettings for a receiver that the configuration lacks.
    """
    receiver = _receiver(settings, to)
    made = builders.message(settings, receiver, example(), UNREGISTERED, time.time())
    assert made is not None  # noqa: S101 - the example has a patient and findings
    return _readable(made.content, receiver)


def verdict(message: str) -> str:
    """Say that a message given by this module is valid; raises GiveUp."""
    if message.startswith("{"):
        from dicom_node.results.messages import fhir

        return fhir.judge(message.encode())
    return judge(message.replace("\n", "\r"))


def _receiver(settings: Settings, to: str) -> Receiver:
    every: tuple[Receiver, ...] = (*settings.hl7, *settings.fhir)
    receiver = next((receiver for receiver in every if receiver.name == to), None)
    if receiver is None:
        known = ", ".join(receiver.name for receiver in every) or "none"
        raise BadSettings(f"--to {to}: no such [[hl7]] or [[fhir]]; known are: {known}")
    return receiver


def _readable(content: bytes, receiver: Receiver) -> str:
    """Give a message with a segment, or a value, a line."""
    if isinstance(receiver, HL7Destination):
        return content.decode(text.codec(receiver.charset)).replace("\r", "\n")
    return json.dumps(json.loads(content), indent=2, ensure_ascii=False)
