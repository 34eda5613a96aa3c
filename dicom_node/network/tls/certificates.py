"""Reads the dates of certificates."""

from pathlib import Path

from cryptography import x509

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.operations.tls import Certificate


def certificates_of(setting: str, path: str) -> tuple[Certificate, ...]:
    """Read a PEM file's certificates, in its order; raises BadSettings."""
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise BadSettings(f"{setting}: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"{setting}: {path} holds no certificate in PEM form") from None
    return tuple(_described(setting, one) for one in found)


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
