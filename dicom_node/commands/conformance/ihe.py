"""The IHE integration statement of one configuration."""

from collections.abc import Iterator
from functools import partial

from dicom_node.commands.conformance import facts
from dicom_node.commands.conformance.document import Document, Section, Table
from dicom_node.commands.conformance.statement import cover
from dicom_node.domain.exchange.destinations import wanting_rejection
from dicom_node.formats.hl7.text import CODECS
from dicom_node.network.hl7.mllp import Answer, settled
from dicom_node.network.hl7.orders import EVENTS, VERSIONS
from dicom_node.settings.settings import Settings

YES, NO = "yes", "no"


def ihe_statement(settings: Settings, version: str, made_on: str) -> Document:
    """Say which actors and transactions are there, and which are missing."""
    return Document(
        "IHE Integration Statement",
        cover(settings, version, made_on),
        (
            Section("Profiles and actors", (_honest(), _actors(settings))),
            Section(
                "AI Results (AIR): Evidence Creator",
                (
                    Table(
                        ("Transaction", "Supported", "How"),
                        tuple(_transactions(settings)),
                        "Transactions",
                    ),
                    Table(
                        ("Result", "Supported", "How"),
                        tuple(_primitives(settings)),
                        "Kinds of results",
                    ),
                    "Each object names the algorithm, its version and the digest of its weights, "
                    "each set of weights has a device UID of its own, and each finding a tracking "
                    "identifier and UID. All results are preliminary and unverified.",
                ),
            ),
            Section("HL7 v2", tuple(_hl7(settings))),
            Section("HL7 FHIR R4", tuple(_fhir(settings))),
        ),
    )


def _honest() -> str:
    return (
        "The statement was not tested at a Connectathon. An actor is claimed only where all of "
        'its required transactions are there; "partly" is no claim, it says that some are.'
    )


def _commits(settings: Settings) -> bool:
    return any(peer.storage_commitment for peer in settings.peers)


def _actors(settings: Settings) -> Table:
    commits, sends = _commits(settings), bool(facts.results(settings))
    lacks = "" if commits else "without Storage Commitment [RAD-10]"
    some = "partly" if sends else NO
    rows = (
        ("AI Results (AIR)", "Evidence Creator", YES if commits and sends else some, lacks),
        ("AI Workflow (AIW-I)", "Task Performer", NO, "no UPS-RS worklist; images arrive by push"),
        (
            "Scheduled Workflow (SWF.b)",
            "Evidence Creator",
            some,
            "stores evidence [RAD-18]; no MPPS [RAD-20, RAD-21]"
            + ("" if commits else ", no Storage Commitment [RAD-10]"),
        ),
        _iocm(settings),
        ("Access to Radiology Information (ARI)", "any", NO, "the node is no archive or display"),
        ("Audit Trail and Node Authentication (ATNA)", "Secure Node", NO, _atna(settings)),
        ("Consistent Time (CT)", "Time Client", "host", "the operating system keeps the time"),
    )
    return Table(("Profile", "Actor", "Claimed", "Remark"), rows, "Profiles")


def _iocm(settings: Settings) -> tuple[str, str, str, str]:
    rejects = sorted(wanting_rejection(settings.peers, settings.stow))
    said = f"rejection notes go to {', '.join(rejects)}" if rejects else "reject_replaced is off"
    claimed = "partly" if rejects else NO
    return "Imaging Object Change Management (IOCM)", "Change Requester", claimed, said


def _atna(settings: Settings) -> str:
    tls = "no TLS" if settings.tls.mode == "off" else f"TLS {settings.tls.mode}"
    audit = "audit messages by syslog" if settings.audit.syslog else "no audit messages"
    return f"{tls}, {audit} to a repository"


def _transactions(settings: Settings) -> Iterator[tuple[str, str, str]]:
    sent = {one.form.kind for one in facts.results(settings)}
    for name, kinds in (
        ("Creator Images Stored [RAD-18]", ("seg", "sc")),
        ("Creator Presentation State Stored [RAD-19]", ("gsps",)),
        ("Evidence Documents Stored [RAD-43]", ("sr", "text_sr", "pdf")),
        ("Key Image Note Stored [RAD-29]", ("kos",)),
    ):
        how = ", ".join(kind for kind in kinds if kind in sent)
        yield name, YES if how else NO, how or "no route sends such objects"
    yield (
        "Storage Commitment [RAD-10]",
        YES if _commits(settings) else NO,
        "N-ACTION" if _commits(settings) else "storage_commitment is off",
    )
    yield "Query Images [RAD-14], Retrieve Images [RAD-16]", YES, "backfill, reconcile"


def _primitives(settings: Settings) -> Iterator[tuple[str, str, str]]:
    made = facts.results(settings)
    trees = [one for one in made if one.form.kind == "sr"]
    types = {kind for one in trees for kind in facts.value_types(one.ds)}
    used = {name for one in trees for name in facts.templates(one.ds)}
    seg = any(one.form.kind == "seg" for one in made)
    yield "Qualitative findings", _has("1501" in used), "TID 1501: presence with its probability"
    yield "Measurements", _has("NUM" in types), "TID 1501: area, distance and others"
    yield "Locations", _has("SCOORD" in types), "SCOORD on the image"
    yield "Regions", _has(seg), "Segmentation, referenced by TID 1410"
    yield "Parametric maps", NO, ""
    yield "Tracking identifiers", _has(bool(trees)), "in every measurement group"
    yield "Image library", _has(bool(trees)), "TID 1600"


def _has(there: bool) -> str:
    return YES if there else NO


def _hl7(settings: Settings) -> Iterator[str | Table]:
    yield (
        "An urgent finding, or every result where a route says so, goes out as ORU^R01 over MLLP, "
        "one acknowledgement (AA, AE or AR) for each message, repeats with the same MSH-10. "
        "OBR-25 is never F: no physician has seen the result."
    )
    rows = tuple(
        (
            one.name,
            f"{one.host}:{one.port}",
            one.version,
            one.charset,
            ", ".join(dict.fromkeys(("MSH", *one.segments, *(("ZDS",) if one.zds else ())))),
            ", ".join(one.escalation) or "-",
        )
        for one in settings.hl7
    )
    head = ("Receiver", "Address", "Version", "Character set", "Segments", "Escalation")
    if rows:
        yield Table(head, rows, "Receivers")
    else:
        yield "No receiver is configured."
    yield Table(("MSA-1", "Behaviour"), tuple(_answers()), "Answers to a message")
    yield _listener(settings)
    yield f"Character sets (MSH-18) that a receiver may have: {', '.join(CODECS)}."


def _answers() -> Iterator[tuple[str, str]]:
    for codes in (("AA", "CA"), ("AE", "CE"), ("AR", "CR"), ("another", "none in time")):
        fate = facts.fate_of(partial(settled, Answer(codes[0], "1")))
        yield ", ".join(codes), fate.behaviour


def _listener(settings: Settings) -> Table:
    """Say which messages of an order system are taken."""
    orders = settings.orders
    where = f"{orders.host}:{orders.port}" if orders.port else "off"
    rows = tuple((f"{kind}^{event}", ", ".join(VERSIONS), where) for kind, event in sorted(EVENTS))
    return Table(("Message", "Versions", "Listening"), rows, "Orders and patients, received")


def _fhir(settings: Settings) -> Iterator[str | Table]:
    yield (
        "A finding may also go out as a FHIR R4 transaction with a DiagnosticReport and its "
        "Observations, which refer to the study; the status is preliminary."
    )
    rows = tuple((one.name, one.url) for one in settings.fhir)
    if rows:
        yield Table(("Server", "URL"), rows, "FHIR servers")
    else:
        yield "No server is configured."
