"""The configuration file as one frozen, validated value."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.exchange.destinations import FhirDestination, StowDestination
from dicom_node.domain.study import AETitle, HL7Destination, Peer
from dicom_node.settings import rules
from dicom_node.settings.sections import (
    AlarmsSection,
    ArchiveSection,
    AuditSection,
    DicomwebSection,
    OrdersSection,
    ReceiveSection,
    ReconcileSection,
    TlsSection,
    require_reachable,
    resolve_path,
)


class NotRead(Exception):
    """The file cannot be used; the text says why, without the file's name."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file whose keys are keys of settings; raises NotRead and OSError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise NotRead("not valid TOML: too deeply nested") from None
    except ValueError as error:  # of the syntax, the encoding, or a number without end
        raise NotRead(f"not valid TOML: {error}") from None
    for key in content:
        # pydantic-settings would take these for arguments of its own
        if key.startswith("_"):
            raise NotRead(f"{key}: unknown key; remove it or correct its spelling")
    if _holds_nul(content):
        raise NotRead("a text holds a NUL character (\\u0000); remove it")
    return content


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(text) for pair in value.items() for text in pair)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[float, Field(gt=0, le=36_500)]
ENVIRONMENT = "DICOM_NODE__"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSection(_Section):
    """Who the node is and where it keeps its files."""

    ae_title: str = "CXRAI"
    host: str = "0.0.0.0"  # noqa: S104 - callers are checked # nosec B104
    port: Port = 11112
    data_dir: Path = Path("var")
    institution: str = ""
    models_dir: Path | None = None

    @field_validator("ae_title")
    @classmethod
    def _valid_title(cls, text: str) -> str:
        return AETitle(text)

    @field_validator("models_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, text: object) -> object:
        return None if text == "" else text


class DatabaseSection(_Section):
    """Where the queue lives."""

    url: str = "sqlite:///var/node.db"


class InferenceSection(_Section):
    """What reads the images."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    threads: Annotated[int, Field(ge=0)] = 0
    gate: str = "suitability"
    batch_ms: Annotated[float, Field(ge=0, le=1000)] = 0
    engine: Literal["onnx"] = "onnx"


class RetentionSection(_Section):
    """How long files and rows are kept, in days."""

    instances_days: Days = 7
    results_days: Days = 7
    log_days: Days = 90


class ConsoleSection(_Section):
    """The web console."""

    host: str = "127.0.0.1"
    port: Port = 8080


class LogsSection(_Section):
    """The log's form."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """All settings; config/node.toml describes every key."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT, env_nested_delimiter="__"
    )

    node: NodeSection = NodeSection()
    database: DatabaseSection = DatabaseSection()
    inference: InferenceSection = InferenceSection()
    receive: ReceiveSection = ReceiveSection()
    archive: ArchiveSection = ArchiveSection()
    audit: AuditSection = AuditSection()
    tls: TlsSection = TlsSection()
    retention: RetentionSection = RetentionSection()
    console: ConsoleSection = ConsoleSection()
    dicomweb: DicomwebSection = DicomwebSection()
    reconcile: ReconcileSection = ReconcileSection()
    orders: OrdersSection = OrdersSection()
    alarms: AlarmsSection = AlarmsSection()
    logs: LogsSection = LogsSection()
    pipelines: dict[str, str] = {
        "pneumothorax": "pipelines.pneumothorax.pipeline",
        "anatomy": "pipelines.anatomy.pipeline",
        "chest_findings": "pipelines.chest_findings.pipeline",
        "pneumonia": "pipelines.pneumonia.pipeline",
        "abnormality": "pipelines.abnormality.pipeline",
        "suitability": "pipelines.suitability.pipeline",
    }
    peers: tuple[Peer, ...] = ()
    hl7: tuple[HL7Destination, ...] = ()
    stow: tuple[StowDestination, ...] = ()
    fhir: tuple[FhirDestination, ...] = ()
    routes: tuple[Route, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        peers, hl7 = [peer.name for peer in self.peers], [receiver.name for receiver in self.hl7]
        # a name of [[stow]] must tell it from every other destination
        stow = [server.name for server in self.stow] + (peers + hl7 if self.stow else [])
        fhir = [server.name for server in self.fhir] + (stow or peers + hl7 if self.fhir else [])
        routes = [route.name for route in self.routes]
        for kind, names in (
            ("peers", peers),
            ("hl7", hl7),
            ("routes", routes),
            ("stow", stow),
            ("fhir", fhir),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"[[{kind}]] name {twice[0]!r} is used twice; rename one")
        for route in self.routes:
            self._check_route(route)
        for fault in rules.faults(self.hl7):
            raise ValueError(fault)
        listening: tuple[Peer | HL7Destination, ...] = (*self.peers, *self.hl7)
        for entry in listening:
            if not 0 <= entry.port <= 65535:
                raise ValueError(f"{entry.name!r}: port = {entry.port} is none; write 1 to 65535")
        for peer in self.peers:
            require_reachable(peer)
        return self

    @model_validator(mode="after")
    def _single_names_are_known(self) -> "Settings":
        pacs = self.reconcile.peer
        if pacs and not any(peer.name == pacs and peer.host and peer.port for peer in self.peers):
            raise ValueError(f"reconcile.peer {pacs!r} is not in [[peers]] with host and port")
        gate = self.inference.gate
        if gate and gate not in self.pipelines:
            raise ValueError(f"inference.gate {gate!r} is not in [pipelines]")
        for name, listens in (("orders", self.orders), ("dicomweb", self.dicomweb)):
            if listens.port and listens.tls and self.tls.mode == "off":
                raise ValueError(f'{name}.tls = true needs tls.mode = "server" or "mutual"')
        if self.tls.mode != "off" and self.tls.plain and self.tls.port == self.node.port:
            raise ValueError(f"tls.port = {self.tls.port} is node.port already; set another")
        return self

    def _check_route(self, route: Route) -> None:
        if not 0 <= route.threshold <= 1:
            raise ValueError(
                f"route {route.name!r}: threshold = {route.threshold:g} is not a probability; "
                "write 0 (not set) to 1"
            )
        receivers = {peer.name: peer for peer in self.peers}
        servers = {server.name for server in self.stow}
        notifiable = {receiver.name for receiver in self.hl7} | {
            server.name for server in self.fhir
        }
        known = (
            ("pipelines", route.pipelines, self.pipelines, "[pipelines]"),
            ("send_to", route.send_to, {*receivers, *servers}, "[[peers]] or [[stow]]"),
            ("notify", route.notify, notifiable, "[[hl7]] or [[fhir]]"),
        )
        for key, names, defined, where in known:
            for name in names:
                if name not in defined:
                    raise ValueError(f"route {route.name!r}: {key} {name!r} is not in {where}")
        for name in route.send_to:
            peer = receivers.get(name)
            if peer is not None and not (peer.host and peer.port):
                raise ValueError(
                    f"route {route.name!r}: send_to {name!r} needs a host and a port in [[peers]]"
                )


def load_settings(path: Path) -> Settings:
    """Read, validate and complete a configuration file.

    Relative paths in it are relative to the file's folder. Raises BadSettings
    with one line that names file, key and remedy.
    """
    try:
        content = read_toml(path)
    except FileNotFoundError:
        raise BadSettings(
            f"{path}: no such file; write one with: dicom-node init {path.parent}"
        ) from None
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {error.strerror}") from None
    except NotRead as error:
        raise BadSettings(f"{path}: {error}") from None
    try:
        settings = Settings(**content)
    except ValidationError as error:
        raise BadSettings(f"{path}: {_words(error)}") from None
    except (SettingsError, RecursionError) as error:  # its text holds no value
        raise BadSettings(f"environment {ENVIRONMENT}...: {error}") from None
    return _resolved(settings, path.resolve().parent)


def _words(error: ValidationError) -> str:
    """Say all that is wrong in one line: key, problem, the value seen."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{key}: unknown key; remove it or correct its spelling")
        elif fault["type"] == "value_error":
            words = str(fault["ctx"]["error"])
            lines.append(f"{key}: {words}" if key else words)
        else:
            shown = fault["input"] if isinstance(fault["input"], str | int | float | bool) else ""
            lines.append(
                f"{key} = {shown!r}: {fault['msg']}" if shown != "" else f"{key}: {fault['msg']}"
            )
    return "; ".join(lines)


def _resolved(settings: Settings, folder: Path) -> Settings:
    """Make relative paths absolute, starting from the file's folder."""
    node = settings.node.model_copy(
        update={
            "data_dir": folder / settings.node.data_dir,
            "models_dir": folder / settings.node.models_dir if settings.node.models_dir else None,
        }
    )
    dicomweb = settings.dicomweb.model_copy(
        update={"token_file": resolve_path(folder, settings.dicomweb.token_file)}
    )
    stow = tuple(server.resolve_paths(folder) for server in settings.stow)
    fhir = tuple(server.resolve_paths(folder) for server in settings.fhir)
    url = settings.database.url
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = f"{prefix}{folder / url.removeprefix(prefix)}"
    database = DatabaseSection(url=url)
    return settings.model_copy(
        update={
            "node": node,
            "database": database,
            "dicomweb": dicomweb,
            "archive": settings.archive.resolve_paths(folder),
            "audit": settings.audit.resolve_paths(folder),
            "tls": settings.tls.resolve_paths(folder),
            "stow": stow,
            "fhir": fhir,
        }
    )


def worker_threads(settings: Settings) -> int:
    """Share the cores between the workers, unless the file says how many."""
    if settings.inference.threads:
        return settings.inference.threads
    return max(1, (os.cpu_count() or 1) // settings.inference.workers)
