"""DICOM statement: web services (PS3.18)."""

from collections.abc import Iterator

from dicom_node.commands.conformance.document import Section, Table
from dicom_node.domain.reception import STORE_STATUSES, SUCCESS
from dicom_node.network.dicomweb import answers
from dicom_node.network.dicomweb.request import DICOM, JSON
from dicom_node.network.dicomweb.store import SOP_CLASS_NOT_SUPPORTED, SYNTAX_NOT_SUPPORTED
from dicom_node.settings.settings import Settings

SETTING = "repeated with growing pauses, until somebody corrects the setting"
REASONS = {
    **{code: words for code, words in STORE_STATUSES.items() if code != SUCCESS},
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    SYNTAX_NOT_SUPPORTED: "transfer syntax not supported",
}


def services(settings: Settings) -> Table:
    """List who serves and who asks."""
    asked = [
        (one.name, service, "user agent", one.url)
        for one in settings.stow
        for service in ("STOW-RS (results)", "QIDO-RS and WADO-RS ('backfill --web')")
    ]
    if settings.dicomweb.port:
        where = f"{settings.dicomweb.host}:{settings.dicomweb.port}/studies"
        asked.append(("this node", "STOW-RS (images)", "origin server", where))
    rows = asked or [("-", "none is configured", "-", "-")]
    return Table(("Server", "Service", "Role", "Address"), tuple(rows), "DICOM Web services")


def web(settings: Settings) -> Section:
    """Describe storing over HTTP, both ways."""
    return Section(
        "Web services",
        (
            services(settings),
            "As user agent the node posts results as multipart/related of application/dicom, with "
            "a bearer token where one is set, and reads the answer instance by instance.",
            Table(("HTTP status", "Meaning", "Behaviour"), tuple(_answers()), "Answers to STOW-RS"),
            *_origin(settings),
        ),
    )


def _answers() -> Iterator[tuple[str, str, str]]:
    for statuses, behaviour in (
        (answers.SETTINGS, SETTING),
        (answers.PASSING, "repeated with growing pauses"),
        (answers.PERMANENT, "not repeated; dead letter, shown to a person"),
    ):
        yield from ((str(code), words, behaviour) for code, words in statuses.items())


def _origin(settings: Settings) -> Iterator[str | Table]:
    ours = settings.dicomweb
    if not ours.port:
        yield "As origin server the node does not listen (dicomweb.port = 0)."
        return
    token = "with a bearer token" if ours.token_file else "without a token"
    yield (
        f"As origin server the node takes POST to /studies and /studies/{{uid}}, {token}: "
        f"{DICOM} parts of at most {ours.max_object_mb} MB, {ours.max_request_mb} MB in all, "
        f"{ours.max_requests} requests at a time; SOP classes and transfer syntaxes as over DIMSE, "
        f"the same checks, the answer in {JSON}."
    )
    yield Table(
        ("Reason", "Meaning"),
        tuple((f"{code:04X}", words) for code, words in sorted(REASONS.items())),
        "Failure and warning reasons of stored instances",
    )
