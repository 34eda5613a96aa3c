"""Reads the dates of certificates."""

from pathlib import Path

from cryptography import x509

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.tls import Certificate


def certificates_of(setting: str, path: str) -> tuple[Certificate, ...]:
    """Read a PEM file's certificates, in its order; raises BadSettings."""
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise BadSettings(f"{setting}: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"{setting}: {path} holds no certificate in PEM form") from None
    return tuple(
        Certificate(
            setting,
            one.subject.rfc4514_string(),
            one.not_valid_before_utc.timestamp(),
            one.not_valid_after_utc.timestamp(),
        )
        for one in found
    )
