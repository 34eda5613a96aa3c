"""The rows of the statements' tables that have to be computed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from dicom_node.commands.conformance import facts
from dicom_node.domain import codes
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.exchange.commitment import PUSH_MODEL, REASONS, remedy
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.domain.reception import STORE_STATUSES, SUCCESS
from dicom_node.formats.dicom.part10 import PATIENT_AND_STUDY, TYPE_2
from dicom_node.network.dicomweb import answers
from dicom_node.network.dicomweb.store import SOP_CLASS_NOT_SUPPORTED, SYNTAX_NOT_SUPPORTED
from dicom_node.network.dimse.answers import FAILURES, judge_query
from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES
from dicom_node.network.dimse.query import QUERY_SYNTAXES, STUDY_ROOT_FIND
from dicom_node.network.dimse.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from dicom_node.network.dimse.scp import SERVED
from dicom_node.network.dimse.scu import proposed
from dicom_node.network.tls.contexts import client_context
from dicom_node.settings.settings import Settings

Rows = Iterator[tuple[str, ...]]

VERIFICATION = "1.2.840.10008.1.1"
QUERIES = (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE)
YES, NO = "yes", "no"
PRIVATE_PREFIX = "99"
"""Coding schemes of a manufacturer start so (PS3.3 8.2)."""
UID_OF_SCHEME = {
    "DCM": "1.2.840.10008.2.16.4",
    "SCT": "2.16.840.1.113883.6.96",
    "LN": "2.16.840.1.113883.6.1",
    "UCUM": "2.16.840.1.113883.6.8",
    "RFC5646": "2.16.840.1.113883.6.316",
}
"""PS3.16 table 8-1."""
TEMPLATE_BY_ROWS = (
    (codes.LANGUAGE, "1204"),
    (codes.OBSERVER_TYPE, "1001"),
    (codes.OBSERVER_TYPE, "1002"),
    (codes.DEVICE_UID, "1004"),
    (codes.IMAGE_LIBRARY, "1600"),
    (codes.IMAGE_LIBRARY_GROUP, "1601"),
    (codes.ROWS, "1602"),
    (codes.IMAGE_VIEW, "1603"),
    (codes.ALGORITHM_NAME, "4019"),
)
"""Templates that no identifier marks, each by a code that only its rows have."""
STOW_REASONS = {
    **{code: words for code, words in STORE_STATUSES.items() if code != SUCCESS},
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    SYNTAX_NOT_SUPPORTED: "transfer syntax not supported",
}
UNCOMMITTED = {
    "send again": "sent again, asked about in a new transaction",
    "ask again": "asked about in a new transaction",
    "give up": "a dead letter, shown to a person",
}


def named(uid: str) -> str:
    """Give a UID's name in PS3.6."""
    return UID(uid).name


def yes(there: object) -> str:
    """Say whether something is there."""
    return YES if there else NO


def commits(settings: Settings) -> bool:
    """Say whether any peer is asked for storage commitment."""
    return any(peer.storage_commitment for peer in settings.peers)


def _names(uids: Iterable[object]) -> str:
    return ", ".join(named(str(uid)) for uid in uids)


# networking (PS3.2 A.4)


def overview(settings: Settings) -> Rows:
    """List every service with the node's role in it (PS3.2 A.1)."""
    received = list(SERVED)
    sent = [VERIFICATION, *(made.form.sop_class_uid for made in facts.results(settings))]
    for uid in dict.fromkeys((*received, *sent)):
        yield named(uid), uid, yes(uid in sent), yes(uid in received)
    for uid in (*QUERIES, *((PUSH_MODEL,) if commits(settings) else ())):
        yield named(uid), uid, YES, NO


def receiving(settings: Settings) -> list[str]:
    """Name the peers that results are sent to."""
    return [
        peer.name
        for peer in settings.peers
        if any(peer.name in route.send_to for route in settings.routes)
    ]


def proposed_to(settings: Settings, name: str) -> Rows:
    """List the presentation contexts for results that go to a peer."""
    by_class = {made.form.sop_class_uid: made for made in facts.results(settings)}
    for form in facts.sent_to(settings, name):
        syntaxes = proposed(by_class[form.sop_class_uid].syntax_uid)
        said = "; ".join(f"{named(syntax)} ({syntax})" for syntax in syntaxes)
        yield f"{named(form.sop_class_uid)} ({form})", form.sop_class_uid, said


def asked() -> Rows:
    """List the presentation contexts to query and to fetch."""
    for uid in QUERIES:
        yield named(uid), uid, _names(QUERY_SYNTAXES), "SCU"
    for uid in IMAGE_CLASSES:
        every = f"the {len(IMAGE_SYNTAXES)} of association acceptance"
        yield named(uid), uid, every, "SCP (C-GET)"


def store_answers() -> Rows:
    """Say what follows from each status of a C-STORE response."""
    other = facts.store_fates()[-1][1]
    for code, fate in facts.store_fates():
        if fate != other:
            yield code, fate.words, fate.behaviour
    yield "any other", other.words, other.behaviour


def query_failures() -> Rows:
    """Say what follows from each failure of a query."""
    for status, words in FAILURES.items():
        again = isinstance(judge_query("C-FIND", status), TryAgain)
        yield f"{status:04X}", words, "asked again" if again else "given up, shown to a person"


def callers(settings: Settings) -> Rows:
    """List who may send, and from where."""
    for peer in settings.peers:
        if peer.may_send:
            yield peer.ae_title, peer.host or "any address", peer.name


def served() -> Rows:
    """List the presentation contexts that are accepted."""
    images = tuple(map(str, IMAGE_SYNTAXES))
    for uid, ours in SERVED.items():
        syntaxes = ours.transfer_syntaxes
        said = "all of the table below" if syntaxes == images else _names(syntaxes)
        yield named(uid), uid, said


def image_syntaxes() -> Rows:
    """List the transfer syntaxes of images, the preferred first."""
    return ((named(str(uid)), str(uid)) for uid in IMAGE_SYNTAXES)


def reasons(meanings: Mapping[tuple[int, ...], str]) -> Rows:
    """List rejections by result, source and reason (PS3.8 9.3.4)."""
    return (("/".join(map(str, key)), words) for key, words in meanings.items())


def statuses(meanings: Mapping[int, str]) -> Rows:
    """List statuses in the hexadecimal digits of the standard."""
    return ((f"{code:04X}", words) for code, words in meanings.items())


def commitment_failures() -> Rows:
    """Say what follows from each failure reason of a commitment (PS3.3 C.14.1.1)."""
    for code, words in REASONS.items():
        yield f"{code:04X}", words, UNCOMMITTED[remedy(code, 1)]
    yield "any other", "not in the standard", UNCOMMITTED[remedy(0, 1)]


def or_none(values: tuple[str, ...]) -> str:
    """List what a route asks for; an image may have no such value."""
    return ", ".join(value or "(none)" for value in values)


# web services (PS3.18)


def web_services(settings: Settings) -> Rows:
    """List who serves and who asks."""
    for server in settings.stow:
        yield server.name, "STOW-RS (results)", "user agent", server.url
        yield server.name, "QIDO-RS and WADO-RS ('backfill --web')", "user agent", server.url
    if settings.dicomweb.port:
        where = f"{settings.dicomweb.host}:{settings.dicomweb.port}/studies"
        yield "this node", "STOW-RS (images)", "origin server", where
    elif not settings.stow:
        yield "-", "none is configured", "-", "-"


def stow_answers() -> Rows:
    """Say what follows from each HTTP status of a STOW-RS response."""
    for meanings, behaviour in (
        (answers.SETTINGS, "repeated with growing pauses, until somebody corrects the setting"),
        (answers.PASSING, "repeated with growing pauses"),
        (answers.PERMANENT, "not repeated; dead letter, shown to a person"),
    ):
        yield from ((str(code), words, behaviour) for code, words in meanings.items())


# security (PS3.15)


def security(settings: Settings) -> Rows:
    """Say who is let in, and what goes over TLS."""
    tls, audit = settings.tls, settings.audit
    secured = tls.mode != "off" or any(peer.tls for peer in settings.peers)
    over = {"tcp": "TCP (octet counting)", "tls": "TLS (RFC 5425)", "udp": "UDP (RFC 5426)"}
    yield (
        "Secure transport connection",
        "BCP 195 TLS without downgrading (PS3.15 B.10): TLS 1.2 and 1.3"
        if secured
        else "not used: tls.mode = off",
    )
    yield (
        "Node authentication",
        {"off": "AE title and address only", "mutual": "both sides show a certificate"}.get(
            tls.mode, "the node shows its certificate"
        ),
    )
    yield "Caller", "known AE titles, each from the address of its [[peers]] entry"
    yield "User identity negotiation", "not supported"
    yield (
        "Audit trail message format (PS3.15 A.5)",
        "Application Activity, Begin Transferring DICOM Instances, DICOM Instances Transferred, "
        "DICOM Instances Accessed, DICOM Study Deleted, Export, Query, Security Alert, "
        "User Authentication"
        if audit.file or audit.syslog
        else "not used: audit.file and audit.syslog are empty",
    )
    yield (
        "Audit trail transmission (PS3.15 A.6, A.7)",
        f"syslog (RFC 5424) over {over[audit.transport]}"
        if audit.syslog
        else "not used: audit.syslog is empty",
    )
    yield "Archive at rest", "AES-256-GCM" if settings.archive.key_file else "plain files"
    yield "Digital signatures, attribute confidentiality", "not supported"


def called_over_tls(settings: Settings) -> list[tuple[str, ...]]:
    """List the destinations that are called over TLS."""
    return [
        (peer.name, kind, "a pinned certificate" if peer.tls_fingerprint else "an authority's")
        for kind, every in (("DICOM", settings.peers), ("HL7", settings.hl7))
        for peer in every
        if peer.tls
    ]


def cipher_suites() -> Rows:
    """List the cipher suites that are offered."""
    suites = client_context(TlsFiles()).get_ciphers()
    return ((str(suite["name"]), str(suite["protocol"])) for suite in suites)


# objects, attributes, templates and codes


def created(made: tuple[facts.Made, ...]) -> Rows:
    """List the objects that are made."""
    for result in made:
        used = ", ".join(f"TID {name}" for name in facts.templates(result.ds)) or "-"
        modality, series = result.ds.get("Modality", ""), result.ds.get("SeriesDescription", "")
        yield str(result.form), result.form.sop_class_uid, str(modality), str(series), used


def attributes(ds: Dataset) -> Rows:
    """List an object's own attributes with examples."""
    copied = {tag_for_keyword(keyword) for keyword in PATIENT_AND_STUDY}
    for element in ds:
        if element.tag not in copied and not element.tag.is_private:
            example = _example(element.VR, element.value)
            yield element.name, _tag(element.tag), element.VR, example


def _example(vr: str, value: object) -> str:
    if vr == "SQ":
        return f"{len(value)} item(s)" if hasattr(value, "__len__") else ""
    if vr in ("OB", "OW", "UN"):
        return "binary"
    values = list(value) if isinstance(value, MultiValue) else [value]
    text = "\\".join(str(value) for value in values if value is not None)
    return text if len(text) <= 64 else text[:61] + "..."


def looked_at() -> Rows:
    """List the attributes that reading depends on."""
    return map(_attribute, facts.looked_at())


def copied() -> Rows:
    """List the attributes that results take from the image."""
    for keyword in PATIENT_AND_STUDY:
        written = "2: empty if missing" if keyword in TYPE_2 else "if present"
        yield *_attribute(keyword), written


def _attribute(keyword: str) -> tuple[str, str]:
    tag = tag_for_keyword(keyword) or 0
    return dictionary_description(tag), _tag(tag)


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def templates(made: tuple[facts.Made, ...]) -> Rows:
    """List the templates of PS3.16 that each object uses."""
    for result in made:
        used, held = facts.templates(result.ds), facts.coded_in(result.ds)
        for place, name in enumerate(used):
            yield str(result.form), f"TID {name}", "included" if place else "root"
        for concept, name in TEMPLATE_BY_ROWS if used else ():
            if (concept.value, concept.scheme) in held:
                yield str(result.form), f"TID {name}", "included, by its rows"


def codes_by_scheme(made: tuple[facts.Made, ...]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Give each coding scheme's title, and its codes."""
    used = {code for result in made for code in facts.coded_in(result.ds)}
    by_scheme: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for concept in codes.CONCEPTS:
        shown = YES if (concept.value, concept.scheme) in used else ""
        by_scheme[concept.scheme].append((concept.value, concept.meaning, shown))
    for scheme, rows in sorted(by_scheme.items()):
        private = scheme.startswith(PRIVATE_PREFIX)
        title = ": private codes, defined here by their meaning"
        yield scheme + (title if private else f" ({UID_OF_SCHEME[scheme]})"), rows
