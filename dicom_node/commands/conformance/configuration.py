"""DICOM statement: interfaces, configuration and limits (PS3.2 annex A.4)."""

from dicom_node.commands.conformance.document import Section, Table
from dicom_node.domain.admission import LARGEST_PIXELS, LARGEST_SIDE, SMALLEST_SIDE
from dicom_node.network.dimse.options import Timeouts
from dicom_node.network.dimse.query import MOST_MATCHES
from dicom_node.network.dimse.scu import MOST_CONTEXTS
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.deliveries import LARGEST_BATCH


def interfaces(settings: Settings) -> Section:
    """Say where the node listens."""
    return Section(
        "Network interfaces",
        (
            "TCP/IP (IPv4 or IPv6) over any medium that the operating system supports. "
            f"The node listens on {settings.node.host}, port {settings.node.port}.",
        ),
    )


def configuration(settings: Settings) -> Section:
    """List addresses, parameters and routes."""
    local = ((settings.node.ae_title, settings.node.host, str(settings.node.port)),)
    remote = tuple(
        (peer.name, peer.ae_title, peer.host or "any", str(peer.port or "-"))
        for peer in settings.peers
    )
    limits = Timeouts()
    parameters = (
        ("receive.max_pdu", str(settings.receive.max_pdu)),
        ("receive.max_associations", str(settings.receive.max_associations)),
        ("receive.unknown_callers", settings.receive.unknown_callers),
        ("receive.min_free_gb", f"{settings.receive.min_free_gb:g}"),
        ("association request or release time-out (fixed)", f"{limits.acse_s:g} s"),
        ("silence on an open association (fixed)", f"{limits.network_s:g} s"),
    )
    return Section(
        "Configuration",
        (
            Table(("AE title", "Address", "Port"), local, "Local application entity"),
            Table(("Peer", "AE title", "Host", "Port"), remote, "Remote application entities"),
            Table(("Parameter", "Value"), parameters),
            _routes(settings),
        ),
    )


def _routes(settings: Settings) -> Table:
    """Say which images are read, and where their results go."""
    rows = tuple(
        (
            route.name,
            "; ".join(
                (
                    f"caller {', '.join(route.callers)}",
                    f"modality {', '.join(route.modality)}",
                    f"body part {_or_none(route.body_part)}",
                    f"view {_or_none(route.view)}",
                )
            ),
            ", ".join(route.pipelines),
            ", ".join(route.outputs),
            ", ".join((*route.send_to, *route.notify)) or "-",
        )
        for route in settings.routes
    )
    head = ("Route", "Images", "Read by", "Outputs", "Destinations")
    return Table(head, rows, "Routes: what is read, and where results go")


def _or_none(values: tuple[str, ...]) -> str:
    return ", ".join(value or "(none)" for value in values)


def limits(settings: Settings) -> Section:
    """Say what the node declines, and what it holds at a time."""
    rows = (
        ("smallest side of an image that is read", f"{SMALLEST_SIDE} pixels"),
        ("largest side", f"{LARGEST_SIDE} pixels"),
        ("rows x columns", f"{LARGEST_PIXELS}"),
        ("frames", "1"),
        ("samples per pixel", "1"),
        ("objects on one outgoing association", f"{LARGEST_BATCH}"),
        ("presentation contexts that are proposed at a time", f"{MOST_CONTEXTS}"),
        ("free disk that is left untouched", f"{settings.receive.min_free_gb:g} GB"),
        ("answers to one C-FIND", f"{MOST_MATCHES}"),
    )
    return Section(
        "Limits",
        (
            "What is beyond is stored all the same, and shown as not analysed with the reason. "
            "Images for processing, secondary captures with burned-in text, colour, multi-frame "
            "and lateral images are not read, nor what the node made itself.",
            Table(("Limit", "Value"), rows),
        ),
    )
