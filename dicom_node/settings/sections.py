"""Sections of the configuration file."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dicom_node.domain.archive import Bucket
from dicom_node.domain.operations.tls import TlsFiles, TlsMode
from dicom_node.domain.study import Peer


class Section(BaseModel):
    """A table of the file: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsSection(Section):
    """TLS for DICOM and HL7, in and out."""

    mode: TlsMode = "off"
    certificate: str = ""
    key: str = ""
    key_password_file: str = ""
    ca: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 2762
    plain: bool = True

    @model_validator(mode="after")
    def _is_whole(self) -> "TlsSection":
        if bool(self.certificate) != bool(self.key):
            raise ValueError("tls.certificate and tls.key go together; set both or none")
        if self.mode != "off" and not self.certificate:
            raise ValueError(f'tls.mode = "{self.mode}" needs tls.certificate and tls.key')
        if self.mode == "mutual" and not self.ca:
            raise ValueError(
                'tls.mode = "mutual" needs tls.ca: who signs the callers\' certificates'
            )
        if self.mode == "off" and not self.plain:
            raise ValueError('tls.plain = false needs tls.mode = "server" or "mutual"')
        return self

    @property
    def files(self) -> TlsFiles:
        """The files alone."""
        return TlsFiles(self.certificate, self.key, self.key_password_file, self.ca)

    def resolve_paths(self, folder: Path) -> "TlsSection":
        """Make relative paths absolute, starting from `folder`."""
        names = ("certificate", "key", "key_password_file", "ca")
        return self.model_copy(
            update={name: resolve_path(folder, getattr(self, name)) for name in names}
        )


class ReceiveSection(Section):
    """The C-STORE SCP."""

    max_pdu: Annotated[int, Field(ge=4096, le=1 << 24)] = 131072
    max_associations: Annotated[int, Field(ge=1, le=4096)] = 64
    max_per_caller: Annotated[int, Field(ge=1, le=4096)] = 32
    max_object_mb: Annotated[int, Field(ge=1, le=2047)] = 512
    max_held_mb: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    processes: Literal[1] = 1
    min_free_gb: Annotated[float, Field(ge=0, le=1e9)] = 5
    unknown_callers: Literal["reject", "accept", "learn"] = "reject"


class DicomwebSection(Section):
    """Receiving over HTTP by STOW-RS; off while the port is 0."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    token_file: str = ""
    max_requests: Annotated[int, Field(ge=1, le=256)] = 8
    max_object_mb: Annotated[int, Field(ge=1, le=4096)] = 128
    max_request_mb: Annotated[int, Field(ge=1, le=65536)] = 1024
    tls: bool = False


class ReconcileSection(Section):
    """The nightly comparison with a PACS; off without a peer."""

    peer: str = ""
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "03:00"
    days: Annotated[int, Field(ge=1, le=31)] = 2
    fetch: bool = False


class OrdersSection(Section):
    """Hearing orders and patient updates by HL7 over MLLP; off while the port is 0."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    callers: tuple[str, ...] = ()
    processing_id: Annotated[str, Field(pattern=r"^[PTD]$")] = "P"
    max_connections: Annotated[int, Field(ge=1, le=1024)] = 16
    idle_s: Annotated[float, Field(gt=0, le=86_400)] = 300
    tls: bool = False

    @model_validator(mode="after")
    def _callers_are_named(self) -> "OrdersSection":
        if self.port and not self.callers:
            raise ValueError('orders.callers is empty: name who may call; ["*"] is anybody')
        return self


class AlarmsSection(Section):
    """What raises an alarm; 0 switches one off."""

    silent_sender_h: Annotated[float, Field(ge=0)] = 4
    queue_age_s: Annotated[float, Field(ge=0)] = 900
    outbox_age_s: Annotated[float, Field(ge=0)] = 3600
    drift_psi: Annotated[float, Field(ge=0)] = 0.25
    drift_images: Annotated[int, Field(ge=100, le=10_000)] = 500


class ArchiveSection(Section):
    """Where images and results are kept; a folder below data_dir while `url` is empty."""

    url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    credentials_file: str = ""
    ca_file: str = ""
    key_file: str = ""
    cache_gb: Annotated[float, Field(gt=0)] = 2

    @model_validator(mode="after")
    def _is_a_place(self) -> "ArchiveSection":
        url, endpoint = urlsplit(self.url), urlsplit(self.endpoint)
        for name, parts in (("url", url), ("endpoint", endpoint)):
            if "@" in parts.netloc or parts.query or parts.fragment:
                raise ValueError(
                    f"archive.{name} must have no user, password, query or fragment; "
                    "use archive.credentials_file"
                )
        if self.url and not (
            (url.scheme == "file" and not url.netloc and len(url.path) > 1)
            or (url.scheme == "s3" and url.netloc and ".." not in url.path.split("/"))
        ):
            raise ValueError('archive.url: write "file:///folder" or "s3://bucket/prefix"')
        if self.endpoint and not (endpoint.scheme in ("http", "https") and endpoint.netloc):
            raise ValueError('archive.endpoint: write "https://host:port"')
        if self.endpoint and url.scheme != "s3":
            raise ValueError('archive.endpoint needs archive.url = "s3://bucket/prefix"')
        return self

    @property
    def folder(self) -> Path | None:
        """The shared folder, if it is one."""
        return Path(unquote(urlsplit(self.url).path)) if self.url.startswith("file:") else None

    @property
    def bucket(self) -> Bucket | None:
        """The bucket of the S3 store, if it is one."""
        if not self.url.startswith("s3:"):
            return None
        url = urlsplit(self.url)
        return Bucket(
            url.netloc,
            url.path.strip("/"),
            endpoint=self.endpoint,
            region=self.region,
            credentials_file=self.credentials_file,
            ca_file=self.ca_file,
        )

    def resolve_paths(self, folder: Path) -> "ArchiveSection":
        """Make relative paths absolute, starting from `folder`."""
        names = ("credentials_file", "ca_file", "key_file")
        return self.model_copy(
            update={name: resolve_path(folder, getattr(self, name)) for name in names}
        )


class AuditSection(Section):
    """The audit trail; none is kept while `file` and `syslog` are empty."""

    file: str = ""
    syslog: str = ""
    transport: Literal["tcp", "tls", "udp"] = "tcp"

    @model_validator(mode="after")
    def _is_an_address(self) -> "AuditSection":
        host, _, port = self.syslog.rpartition(":")
        if self.syslog and not (host and port.isdigit() and 0 < int(port) < 1 << 16):
            raise ValueError(f'audit.syslog = "{self.syslog}": write "host:port"')
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the syslog server."""
        host, _, port = self.syslog.rpartition(":")
        return host.strip("[]"), int(port)

    def resolve_paths(self, folder: Path) -> "AuditSection":
        """Make a relative path absolute, starting from `folder`."""
        return self.model_copy(update={"file": resolve_path(folder, self.file)})


def require_reachable(peer: Peer) -> None:
    """Check what storage commitment needs of a peer; raises ValueError."""
    if peer.storage_commitment and not (peer.host and peer.port):
        raise ValueError(f"peer {peer.name!r}: storage_commitment = true needs host and port")
    if peer.storage_commitment and not peer.may_send:
        raise ValueError(
            f"peer {peer.name!r}: storage_commitment = true needs may_send = true: "
            "the peer calls to report what it keeps"
        )
    if peer.commit_timeout_s <= 0:
        raise ValueError(f"peer {peer.name!r}: commit_timeout_s must be more than 0")


def resolve_path(folder: Path, path: str) -> str:
    """Make a path absolute, starting from the file's folder; "" stays."""
    return str(folder / path) if path else ""
