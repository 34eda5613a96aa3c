"""The rows of the IHE statement: what is there of its actors and transactions."""

from functools import partial

from dicom_node.commands.conformance import facts
from dicom_node.commands.conformance.tables import NO, YES, Rows, commits, yes
from dicom_node.domain.exchange.destinations import wanting_rejection
from dicom_node.network.hl7.mllp import Answer, judge_acknowledgement
from dicom_node.network.hl7.orders import EVENTS, VERSIONS
from dicom_node.settings.settings import Settings


def actors(settings: Settings) -> Rows:
    """Judge which actors may be claimed."""
    committed, sends = commits(settings), bool(facts.results(settings))
    some = "partly" if sends else NO
    yield (
        "AI Results (AIR)",
        "Evidence Creator",
        YES if committed and sends else some,
        "" if committed else "without Storage Commitment [RAD-10]",
    )
    yield "AI Workflow (AIW-I)", "Task Performer", NO, "no UPS-RS worklist; images arrive by push"
    lacks = "" if committed else ", no Storage Commitment [RAD-10]"
    mpps = f"stores evidence [RAD-18]; no MPPS [RAD-20, RAD-21]{lacks}"
    yield "Scheduled Workflow (SWF.b)", "Evidence Creator", some, mpps
    rejects = sorted(wanting_rejection(settings.peers, settings.stow))
    said = f"rejection notes go to {', '.join(rejects)}" if rejects else "reject_replaced is off"
    iocm = "Imaging Object Change Management (IOCM)"
    yield iocm, "Change Requester", "partly" if rejects else NO, said
    yield "Access to Radiology Information (ARI)", "any", NO, "the node is no archive or display"
    tls = "no TLS" if settings.tls.mode == "off" else f"TLS {settings.tls.mode}"
    audit = "audit messages by syslog" if settings.audit.syslog else "no audit messages"
    atna = "Audit Trail and Node Authentication (ATNA)"
    yield atna, "Secure Node", NO, f"{tls}, {audit} to a repository"
    yield "Consistent Time (CT)", "Time Client", "host", "the operating system keeps the time"


def transactions(settings: Settings) -> Rows:
    """Say which transactions of the Evidence Creator are there."""
    sent = {result.form.kind for result in facts.results(settings)}
    for name, kinds in (
        ("Creator Images Stored [RAD-18]", ("seg", "sc")),
        ("Creator Presentation State Stored [RAD-19]", ("gsps",)),
        ("Evidence Documents Stored [RAD-43]", ("sr", "text_sr", "pdf")),
        ("Key Image Note Stored [RAD-29]", ("kos",)),
    ):
        how = ", ".join(kind for kind in kinds if kind in sent)
        yield name, yes(how), how or "no route sends such objects"
    committed = commits(settings)
    how = "N-ACTION" if committed else "storage_commitment is off"
    yield "Storage Commitment [RAD-10]", yes(committed), how
    yield "Query Images [RAD-14], Retrieve Images [RAD-16]", YES, "backfill, reconcile"


def primitives(settings: Settings) -> Rows:
    """Say which kinds of results of AIR are written."""
    made = facts.results(settings)
    trees = [result.ds for result in made if result.form.kind == "sr"]
    types = {kind for ds in trees for kind in facts.value_types(ds)}
    used = {name for ds in trees for name in facts.templates(ds)}
    seg = any(result.form.kind == "seg" for result in made)
    yield "Qualitative findings", yes("1501" in used), "TID 1501: presence with its probability"
    yield "Measurements", yes("NUM" in types), "TID 1501: area, distance and others"
    yield "Locations", yes("SCOORD" in types), "SCOORD on the image"
    yield "Regions", yes(seg), "Segmentation, referenced by TID 1410"
    yield "Parametric maps", NO, ""
    yield "Tracking identifiers", yes(trees), "in every measurement group"
    yield "Image library", yes(trees), "TID 1600"


def acknowledgements() -> Rows:
    """Say what follows from each MSA-1."""
    for said in (("AA", "CA"), ("AE", "CE"), ("AR", "CR"), ("another", "none in time")):
        fate = facts.fate_of(partial(judge_acknowledgement, Answer(said[0], "1")))
        yield ", ".join(said), fate.behaviour


def order_messages(settings: Settings) -> Rows:
    """Say which messages of an order system are taken."""
    orders = settings.orders
    where = f"{orders.host}:{orders.port}" if orders.port else "off"
    return ((f"{kind}^{event}", ", ".join(VERSIONS), where) for kind, event in sorted(EVENTS))
