"""Rules: which pipelines read an instance, and why not."""

from dataclasses import dataclass
from typing import Literal

from dicom_node.domain.findings import PointChoice
from dicom_node.domain.study import Instance
from dicom_node.domain.views import NOT_FRONTAL, view_of
from dicom_node.domain.work import PRIORITY_RANK, Admission, NewJob, OutputKind, Priority

DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SMALLEST_SIDE = 256
LARGEST_SIDE = 20_000
LARGEST_PIXELS = 120_000_000
"""Rows x Columns; the largest detectors have about 20 million."""


PointName = Literal["", "high_sensitivity", "balanced", "high_specificity"]
"""The operating points of every model; empty: the model's default."""
OverlayStyle = Literal["side_by_side", "contour"]
"""The radiograph beside a panel of words, or with its marks and a line of words."""


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of the configuration, with what happens to what it takes."""

    name: str
    callers: tuple[str, ...] = ("*",)
    modality: tuple[str, ...] = ("CR", "DX")
    body_part: tuple[str, ...] = ("CHEST", "THORAX", "LUNG", "")
    view: tuple[str, ...] = ("PA", "AP", "")
    pipelines: tuple[str, ...] = ("pneumothorax",)
    outputs: tuple[OutputKind, ...] = ("seg", "sr", "sc")
    send_to: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    urgent_only: bool = True
    priority: Priority = "routine"
    report_not_analysed: bool = False
    """Send an SR that says why an image was not analysed."""
    operating_point: PointName = ""
    threshold: float = 0.0
    """A threshold on the probability, 0..1, in place of the operating point's; 0: not set."""
    combine: bool = True
    """All pipelines' findings of one image in one set of objects; else a set per pipeline."""
    overlay: OverlayStyle = "side_by_side"

    @property
    def choice(self) -> PointChoice:
        """The operating point that this route asks for."""
        return PointChoice(self.operating_point, self.threshold)


def unsuitable(instance: Instance) -> str | None:
    """Say why no pipeline may read the instance, by its header alone."""
    kind = instance.ref.sop_class_uid
    if instance.made_by_node:
        return "own result"
    if kind == DX_FOR_PROCESSING:
        return "image for processing, not for presentation"
    if instance.frames > 1:
        return "multi-frame image"
    if instance.samples_per_pixel != 1:
        return "colour image"
    if kind == SECONDARY_CAPTURE and instance.burned_in:
        return "secondary capture with burned-in annotation"
    if instance.view_position in NOT_FRONTAL:
        return f"view {instance.view_position}, not frontal"
    return unreadable_size(instance)


def unreadable_size(instance: Instance) -> str | None:
    """Say why no image of this size is decoded, before anything is allocated."""
    rows, columns = instance.rows, instance.columns
    if rows <= 0 or columns <= 0:
        return "no pixels: Rows or Columns is 0"
    if min(rows, columns) < SMALLEST_SIDE:
        return f"image of {rows} x {columns} pixels is too small"
    if max(rows, columns) > LARGEST_SIDE or rows * columns > LARGEST_PIXELS:
        return f"image of {rows} x {columns} pixels is too large"
    return None


def mismatch(
    route: Route, instance: Instance, calling_ae: str, *, any_view: bool = False
) -> str | None:
    """Say which condition of the route the instance fails, or None."""
    if "*" not in route.callers and calling_ae not in route.callers:
        return f"calling AE {calling_ae} not in route"
    if instance.modality not in route.modality:
        return f"modality {instance.modality or 'unknown'} not in route"
    if instance.body_part.upper() not in route.body_part:
        return f"body part {instance.body_part} not in route"
    if not any_view and not _takes_view(route, instance.view_position):
        return f"view {instance.view_position or 'unknown'} not in route"
    return None


def _takes_view(route: Route, view: str) -> bool:
    """Say whether it does; a word unknown here counts as none: the gate sees the image."""
    named = {view_of(view) for view in route.view}
    return view in named or ("" in named and view not in ("PA", "AP"))


def admit(instance: Instance, calling_ae: str, routes: tuple[Route, ...]) -> Admission:
    """Apply the routes to one instance.

    A pipeline that several routes name becomes one job for all of them, at the
    highest priority that any of them gives. An unsuitable image gets jobs only from
    routes that report refusals: the worker finds the same reason and says it.
    """
    reason = unsuitable(instance)
    if instance.made_by_node:
        return Admission(not_analysed=reason)
    jobs: dict[str, NewJob] = {}
    reasons = [] if reason is None else [reason]
    for route in routes:
        if reason is not None and not route.report_not_analysed:
            continue
        failed = mismatch(route, instance, calling_ae, any_view=reason is not None)
        if failed is not None:
            reasons.append(failed)
            continue
        for pipeline in route.pipelines:
            known = jobs.get(pipeline, NewJob(pipeline, (), route.priority))
            priority = min(known.priority, route.priority, key=PRIORITY_RANK.__getitem__)
            jobs[pipeline] = NewJob(pipeline, (*known.routes, route.name), priority)
    if not jobs:
        return Admission(not_analysed=reasons[0] if reasons else "no route configured")
    return Admission(jobs=tuple(jobs.values()))
