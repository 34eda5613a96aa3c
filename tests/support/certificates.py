"""A certificate authority that lives as long as a test."""

import datetime
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        loaded = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return loaded.fingerprint(hashes.SHA256()).hex(":")


@dataclass(frozen=True)
class Authority:
    """Signs certificates for 127.0.0.1; `ca` is its own, in `folder`."""

    folder: Path
    name: str = "Test CA"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        builder = _builder(self.name, self.name, self.key, (-1, 3650))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.ca.write_bytes(_pem(builder.sign(self.key, hashes.SHA256())))

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def issue(
        self,
        name: str,
        *,
        days: tuple[float, float] = (-1, 365),
        host: str = "127.0.0.1",
        password: str = "",
    ) -> Pair:
        """Write NAME.pem and NAME.key; `days` from now say when it is valid."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self.name, key, days)
        names = [x509.IPAddress(ip_address(host))] if host else [x509.DNSName("elsewhere.test")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        pair.certificate.write_bytes(_pem(builder.sign(self.key, hashes.SHA256())))
        hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            hidden = serialization.BestAvailableEncryption(password.encode())
        form = serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, hidden))
        pair.key.chmod(0o600)
        return pair


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: tuple[float, float]
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now + days[0] * DAY,
        not_valid_after=now + days[1] * DAY,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
