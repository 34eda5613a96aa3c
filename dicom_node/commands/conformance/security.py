"""DICOM statement: security (PS3.15)."""

from collections.abc import Iterator

from dicom_node.commands.conformance.document import Section, Table
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.tls.contexts import client_context
from dicom_node.settings.settings import Settings


def security(settings: Settings) -> Section:
    """Say who is let in, and what goes over TLS."""
    rows = (
        ("Secure transport connection", _transport(settings)),
        ("Node authentication", _authentication(settings)),
        ("Caller", "known AE titles, each from the address of its [[peers]] entry"),
        ("User identity negotiation", "not supported"),
        ("Audit trail message format (PS3.15 A.5)", _messages(settings)),
        ("Audit trail transmission (PS3.15 A.6, A.7)", _transmission(settings)),
        ("Archive at rest", _at_rest(settings)),
        ("Digital signatures, attribute confidentiality", "not supported"),
    )
    return Section(
        "Security",
        (Table(("Profile or measure", "Support"), rows, "Security profiles"), *_tls(settings)),
    )


def _transport(settings: Settings) -> str:
    if settings.tls.mode == "off" and not any(peer.tls for peer in settings.peers):
        return "not used: tls.mode = off"
    return "BCP 195 TLS without downgrading (PS3.15 B.10): TLS 1.2 and 1.3"


def _messages(settings: Settings) -> str:
    if not (settings.audit.file or settings.audit.syslog):
        return "not used: audit.file and audit.syslog are empty"
    return (
        "Application Activity, Begin Transferring DICOM Instances, DICOM Instances Transferred, "
        "DICOM Instances Accessed, DICOM Study Deleted, Export, Query, Security Alert, "
        "User Authentication"
    )


def _transmission(settings: Settings) -> str:
    if not settings.audit.syslog:
        return "not used: audit.syslog is empty"
    over = {"tcp": "TCP (octet counting)", "tls": "TLS (RFC 5425)", "udp": "UDP (RFC 5426)"}
    return f"syslog (RFC 5424) over {over[settings.audit.transport]}"


def _at_rest(settings: Settings) -> str:
    return "AES-256-GCM" if settings.archive.key_file else "plain files"


def _authentication(settings: Settings) -> str:
    if settings.tls.mode == "off":
        return "AE title and address only"
    if settings.tls.mode == "mutual":
        return "both sides show a certificate"
    return "the node shows its certificate"


def _tls(settings: Settings) -> Iterator[str | Table]:
    tls = settings.tls
    if tls.mode != "off":
        plain = f"; port {settings.node.port} speaks plain DICOM" if tls.plain else ""
        yield f"Associations over TLS are accepted at port {tls.port}{plain}."
    rows = tuple(
        (one.name, kind, "a pinned certificate" if one.tls_fingerprint else "an authority's")
        for kind, every in (("DICOM", settings.peers), ("HL7", settings.hl7))
        for one in every
        if one.tls
    )
    if rows:
        yield Table(("Destination", "Protocol", "Certificate"), rows, "Called over TLS")
    if rows or tls.mode != "off":
        suites = client_context(TlsFiles()).get_ciphers()
        names = tuple((str(suite["name"]), str(suite["protocol"])) for suite in suites)
        yield Table(("Cipher suite", "From"), names, "Cipher suites")
