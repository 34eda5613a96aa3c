"""Fetch what a PACS has and the node never received."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode, urlsplit

from dicom_node.assembly import destinations
from dicom_node.assembly import parts as node
from dicom_node.assembly.reception import reception_of
from dicom_node.audit.events import Endpoint
from dicom_node.audit.node import Audit, endpoints
from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings, Refused
from dicom_node.domain.exchange.destinations import caller_at
from dicom_node.domain.exchange.retrieval import Inquiry, Origin
from dicom_node.domain.reception import OUT_OF_RESOURCES, StoreRequest
from dicom_node.domain.study import Peer
from dicom_node.domain.work import Recorded
from dicom_node.flow.backfill import (
    BackfillContext,
    BackfilledStudy,
    BackfillQuery,
    Throttle,
    Wait,
    fetch_missing_images,
    find_missing_images,
)
from dicom_node.flow.receive import receive
from dicom_node.network.dicomweb.retrieve import WebOrigin
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.options import IMAGE_CLASSES
from dicom_node.network.dimse.query import STUDY_ROOT_FIND, QueryOrigin, Terms, encoded
from dicom_node.network.dimse.retrieve import GetOrigin, MoveOrigin
from dicom_node.network.hosts import HostBook
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue.callers import known_uids


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """From whom to fetch, how, and how fast (images a minute; 0: no limit)."""

    peer: str = ""
    web: str = ""
    """A DICOMweb server, in place of a peer."""
    move: bool = False
    per_minute: float = 0.0
    route: str = ""
    """The only route that what is fetched goes by, whatever its callers; "": all."""


def backfill(
    settings: Settings,
    wanted: BackfillQuery,
    options: BackfillOptions,
    wait: Wait,
    *,
    dry_run: bool = False,
) -> Iterator[BackfilledStudy]:
    """Fetch the images that a query asks for; yields each study that has any, as it is done.

    What was received before is skipped, so a run that was killed is repeated to go
    on. The images queue at low priority: those that arrive meanwhile go first.
    """
    with closing(node.open_parts(settings)) as parts:
        routes = _routes(settings, options)
        run = list_missing if dry_run else fetch_missing
        yield from run(parts, wanted, options, wait, routes)


def list_missing(
    parts: node.Parts,
    wanted: BackfillQuery,
    options: BackfillOptions,
    wait: Wait,
    routes: tuple[Route, ...],
) -> Iterator[BackfilledStudy]:
    """Yield each study that has images for `routes`; fetches nothing."""
    catalogue = (
        _web(parts, options.web, ())
        if options.web
        else QueryOrigin(_target(parts.settings, options), Terms(()))
    )
    with closing(catalogue):
        for study in find_missing_images(catalogue, wanted, _context(parts, options, wait, routes)):
            yield BackfilledStudy(study, 0, (study.fault,) if study.fault else ())


def fetch_missing(
    parts: node.Parts,
    wanted: BackfillQuery,
    options: BackfillOptions,
    wait: Wait,
    routes: tuple[Route, ...],
) -> Iterator[BackfilledStudy]:
    """Yield each study that has images for `routes`, when they are here."""
    with open_origin(parts, options, routes) as origin:
        found = find_missing_images(origin, wanted, _context(parts, options, wait, routes))
        yield from fetch_missing_images(
            found, origin, Throttle(options.per_minute, time.monotonic, wait), wait
        )


def _context(
    parts: node.Parts, options: BackfillOptions, wait: Wait, routes: tuple[Route, ...]
) -> BackfillContext:
    peer = "" if options.web else _peer(parts.settings, options.peer).name
    asked = request_auditor(parts.audit, parts.settings, peer, options.web)
    return BackfillContext(routes, partial(known_uids, parts.engine), IMAGE_CLASSES, wait, asked)


def _routes(settings: Settings, options: BackfillOptions) -> tuple[Route, ...]:
    """Choose the routes for what is fetched, at low priority; raises BadSettings."""
    if not options.route:
        return tuple(replace(route, priority="low") for route in settings.routes)
    if options.move:
        raise BadSettings("--route and --move exclude each other: the receiver knows its routes")
    chosen = [route for route in settings.routes if route.name == options.route]
    if not chosen:
        listed = ", ".join(route.name for route in settings.routes) or "none"
        raise BadSettings(f"--route {options.route}: no such [[routes]]; known are: {listed}")
    return (replace(chosen[0], callers=("*",), priority="low"),)


@contextmanager
def open_origin(
    parts: node.Parts, options: BackfillOptions, routes: tuple[Route, ...]
) -> Iterator[Origin]:
    """Give the PACS to fetch from; what it sends over our association goes by `routes`."""
    origin: GetOrigin | MoveOrigin | WebOrigin
    if options.web:
        origin = _web(parts, options.web, routes)
    elif options.move:
        origin = MoveOrigin(
            _target(parts.settings, options), lambda uid: bool(known_uids(parts.engine, [uid]))
        )
    else:
        origin = GetOrigin(_target(parts.settings, options), receiver(parts, routes))
    with closing(origin):
        yield origin


def _web(parts: node.Parts, name: str, routes: tuple[Route, ...]) -> WebOrigin:
    """Make the origin of a DICOMweb server; its images count as those of the peer there."""
    settings = parts.settings
    servers = {server.name: server for server in settings.stow}
    if name not in servers:
        listed = ", ".join(servers) or "none"
        raise BadSettings(f"--web {name}: no such [[stow]]; known are: {listed}")
    addresses_of = HostBook().addresses_of
    host = urlsplit(servers[name].url).hostname or ""
    address = next(iter(sorted(addresses_of(host))), host)
    caller = caller_at(address, settings.peers, addresses_of, settings.node.ae_title)
    return WebOrigin(servers[name], caller, receiver(parts, routes))


def receiver(parts: node.Parts, routes: tuple[Route, ...]) -> Callable[[StoreRequest], Recorded]:
    """Give what stores an image as if its sender had called."""
    reception = replace(reception_of(parts), routes=routes)
    return lambda request: receive(request, reception, parts.clock())


def try_association(settings: Settings, options: BackfillOptions, *, fetching: bool) -> None:
    """Open an association as finding, or fetching by C-GET, does; raises NodeError."""
    target = _target(settings, options)
    origin = GetOrigin(target, _take_nothing) if fetching else QueryOrigin(target, Terms(()))
    with closing(origin):
        origin.query.line()


def _take_nothing(request: StoreRequest) -> Recorded:
    raise Refused(OUT_OF_RESOURCES, "nothing was asked for")


def _target(settings: Settings, options: BackfillOptions) -> Target:
    return destinations.target(settings, _peer(settings, options.peer).name)


def _peer(settings: Settings, name: str) -> Peer:
    """Choose the peer; without a name the only one that has an address."""
    able = {peer.name: peer for peer in settings.peers if peer.host and peer.port}
    if not name and len(able) == 1:
        return next(iter(able.values()))
    if name not in able:
        listed = ", ".join(able) or "none"
        raise BadSettings(
            f"--peer {name or '(not given)'}: no [[peers]] of that name with host and port; "
            f"known are: {listed}"
        )
    return able[name]


QIDO = "QIDO-RS"
"""Stands for a SOP class, which a request over HTTP has not."""


def request_auditor(
    audit: Audit, settings: Settings, peer: str, web: str
) -> Callable[[Inquiry], None]:
    """Make what tells of each request to a peer or, with `web`, to a web server."""
    named = endpoints(settings)
    to = named.get(web or peer, Endpoint(web or peer))

    def tell(inquiry: Inquiry) -> None:
        if not audit.on:
            return
        if web:
            audit.asked(to, QIDO, _parameters(inquiry).encode())
        else:
            audit.asked(to, STUDY_ROOT_FIND, encoded(inquiry))

    return tell


def _parameters(inquiry: Inquiry) -> str:
    asked = {
        "StudyDate": "" if inquiry.day is None else f"{inquiry.day:%Y%m%d}",
        "AccessionNumber": inquiry.accession_number,
        "ModalitiesInStudy": inquiry.modality,
    }
    return "/studies?" + urlencode({name: value for name, value in asked.items() if value})
