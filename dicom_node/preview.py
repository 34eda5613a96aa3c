"""Show the HL7 message that a study would give, without sending it."""

import time
from collections.abc import Iterator
from contextlib import closing

from dicom_node import node
from dicom_node.adapters.census import stored_of_study
from dicom_node.adapters.header import describe, read_header
from dicom_node.adapters.hl7_check import judge
from dicom_node.domain.admission import admit
from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.domain.study import HL7Destination
from dicom_node.flow.infer import Question, answer
from dicom_node.reading import reader
from dicom_node.reports import er7, oru
from dicom_node.reports.example import example
from dicom_node.settings import Settings
from dicom_node.writing import registered


def messages(settings: Settings, study_uid: str, to: str) -> Iterator[str]:
    """Read a stored study again and yield each image's ORU, a segment a line.

    Nothing is stored and nothing is sent. Raises BadSettings for a receiver that
    the configuration lacks, GiveUp where the study is not stored or gives no message.
    """
    receiver = _receiver(settings, to)
    with closing(node.open_parts(settings)) as parts:
        stored = stored_of_study(parts.engine, study_uid)
        paths = [(parts.archive.path(key), calling_ae) for key, calling_ae in stored]
        known = {path: registered(settings, parts.engine, read_header(path)) for path, _ in paths}
    if not paths:
        raise GiveUp(f"study {study_uid}: no image of it is stored here (any more)")
    eyes, reasons = reader(settings), []
    for path, calling_ae in paths:
        admission = admit(describe(read_header(path)), calling_ae, settings.routes)
        if admission.not_analysed is not None:
            reasons.append(admission.not_analysed)
            continue
        choices = {route.name: route.choice for route in settings.routes}
        questions = tuple(Question(job.pipeline, choices[job.routes[0]]) for job in admission.jobs)
        found = answer(path, questions, eyes)
        who = (settings.node.ae_title, settings.node.institution)
        context = oru.HL7Context(time.time(), receiver, *who, known=known[path])
        made = oru.build(found.source, found.radiograph, found.findings, context)
        if made is not None:
            yield _readable(made.content, receiver)
        else:
            refused = [one.not_analysed for one in found.findings if one.not_analysed]
            reasons.append(refused[0] if refused else "no patient identifier")
    if len(reasons) == len(paths):
        raise GiveUp(f"study {study_uid}: no message: {'; '.join(dict.fromkeys(reasons))}")


def example_message(settings: Settings, to: str) -> str:
    """Give a receiver's message of a made-up finding, a segment a line.

    Needs no database. Raises BadSettings for a receiver that the configuration lacks.
    """
    receiver = _receiver(settings, to)
    who = (settings.node.ae_title, settings.node.institution)
    made = oru.build(*example(), oru.HL7Context(time.time(), receiver, *who))
    assert made is not None  # noqa: S101 - the example has a patient and findings
    return _readable(made.content, receiver)


def verdict(message: str) -> str:
    """Say that a message given by this module is valid HL7; raises GiveUp."""
    return judge(message.replace("\n", "\r"))


def _receiver(settings: Settings, to: str) -> HL7Destination:
    receiver = next((one for one in settings.hl7 if one.name == to), None)
    if receiver is None:
        known = ", ".join(one.name for one in settings.hl7) or "none"
        raise BadSettings(f"--to {to}: no such [[hl7]]; known are: {known}")
    return receiver


def _readable(content: bytes, receiver: HL7Destination) -> str:
    """Give a message with a segment a line."""
    return content.decode(er7.codec(receiver.charset)).replace("\r", "\n")
