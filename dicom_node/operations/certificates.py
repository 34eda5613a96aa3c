"""What is wrong with the certificates and keys of the configuration."""

import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from dicom_node.assembly.destinations import outgoing, secured_entry
from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.domain.operations.tls import Certificate
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import HL7Destination, Peer
from dicom_node.network.tls import contexts as tls
from dicom_node.settings.settings import Settings

SHOW_S = 5.0
"""For a destination to show its certificate."""


def uses_tls(settings: Settings) -> bool:
    """Say whether anything of the configuration speaks TLS with the files of [tls]."""
    called = [peer.tls for peer in settings.peers] + [receiver.tls for receiver in settings.hl7]
    audited_over_tls = bool(settings.audit.syslog) and settings.audit.transport == "tls"
    return settings.tls.mode != "off" or audited_over_tls or any(called)


def certificate_faults(settings: Settings, now: float) -> list[str]:
    """Name the certificates that have run out, will soon, or cannot be read."""
    faults = []
    for setting in ("certificate", "ca"):
        path = getattr(settings.tls, setting)
        if not path or not uses_tls(settings):
            continue
        try:
            found = [
                certificate.fault(now) for certificate in certificates_of(f"tls.{setting}", path)
            ]
        except BadSettings as error:
            found = [str(error)]
        faults += [fault for fault in found if fault]
    return faults


def security_checks(settings: Settings, now: float) -> Iterator[Check]:
    """Load what TLS needs, and look at dates and at who can read the key."""
    if not uses_tls(settings):
        return
    section = settings.tls
    try:
        if section.mode != "off":
            secured_entry(settings)
        tls.client_context(section.files)
    except BadSettings as error:
        yield Check("tls", False, str(error))
        return
    yield Check("tls", True, _ports(settings))
    shut_out = ", ".join(_peers_without_port(settings))
    if shut_out:
        needs = '"server" or "mutual", and "mutual" for a peer with tls_fingerprint'
        words = f'{shut_out}: cannot send while tls.mode = "{section.mode}"; it takes {needs}'
        yield Check("tls", True, words)
    if section.key and Path(section.key).stat().st_mode & stat.S_IRWXO:
        yield Check("tls", False, f"tls.key {section.key} can be read by everybody: chmod 600 it")
    for fault in certificate_faults(settings, now):
        yield Check("certificate", False, fault)
    called: list[Peer | HL7Destination] = [*settings.peers, *settings.hl7]
    for to in called:
        yield from _check_destination(settings, to, now)


def _check_destination(
    settings: Settings, to: Peer | HL7Destination, now: float
) -> Iterator[Check]:
    """Look at the dates of a destination's own certificate; it may be somebody else's duty."""
    contexts = outgoing(settings, to)
    if contexts is None or not (to.host and to.port):
        return
    try:
        found = tls.fetch_certificate(to.host, to.port, SHOW_S, contexts)
        fault = certificate_in(f"the certificate of {to.name}", found).fault(now)
    except (OSError, TryAgain, ValueError):
        return  # the echo says why
    if fault:
        yield Check("certificate", False, fault)


def _peers_without_port(settings: Settings) -> Iterator[str]:
    """Name the peers that may send and cannot."""
    mode = settings.tls.mode
    for peer in settings.peers:
        unproven = mode == "server" and peer.tls_fingerprint
        if peer.tls and peer.may_send and (mode == "off" or unproven):
            yield peer.name


def _ports(settings: Settings) -> str:
    section = settings.tls
    if section.mode == "off":
        return (
            "callers are not served over TLS (tls.mode = off), some destinations are called over it"
        )
    plain = f", and without TLS on port {settings.node.port}" if section.plain else ""
    return f"callers are served over TLS ({section.mode}) on port {section.port}{plain}"


def certificates_of(setting: str, path: str) -> tuple[Certificate, ...]:
    """Read a PEM file's certificates, in its order; raises BadSettings."""
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise BadSettings(f"{setting}: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"{setting}: {path} holds no certificate in PEM form") from None
    return tuple(_described(setting, certificate) for certificate in found)


def certificate_in(whose: str, der: bytes) -> Certificate:
    """Read a certificate that a peer has shown; raises ValueError."""
    return _described(whose, x509.load_der_x509_certificate(der))


def _described(whose: str, found: x509.Certificate) -> Certificate:
    return Certificate(
        whose,
        found.subject.rfc4514_string(),
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
    )
