"""What a worker reads with: pipelines and decoders."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine

from dicom_node import share
from dicom_node.domain.admission import Route
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import OWN_POINT
from dicom_node.domain.pipeline import Adjustable, Pipeline
from dicom_node.flow.infer import InferenceContext
from dicom_node.flow.shadow import Shadow
from dicom_node.formats.dicom.header import read_header
from dicom_node.formats.dicom.pixels import radiograph
from dicom_node.results.registry import warm_up
from dicom_node.settings.settings import Settings, worker_threads
from dicom_node.storage.models import ModelStore, models_dir
from dicom_node.storage.queue.shadow import store_shadow

log = structlog.get_logger()

NOWHERE = Path("/nonexistent")
"""The store of a node without a site."""


def load_pipelines(settings: Settings) -> dict[str, Pipeline]:
    """Load every pipeline that a route names, or without routes all but the gate.

    Raises BadSettings when a module, its weights or their digest is wrong.
    """
    wanted = dict.fromkeys(name for route in settings.routes for name in route.pipelines)
    return {name: load_pipeline(settings, name) for name in wanted or readers(settings)}


def readers(settings: Settings) -> tuple[str, ...]:
    """Name the installed pipelines that read: all but the gate."""
    return tuple(name for name in settings.pipelines if name != settings.inference.gate)


def load_gate(settings: Settings) -> Pipeline | None:
    """Load the pipeline that looks first, if there is one; raises BadSettings."""
    gate = settings.inference.gate
    return load_pipeline(settings, gate) if gate else None


def load_pipeline(settings: Settings, name: str, folder: Path | None = None) -> Pipeline:
    """Load one pipeline, with the model that serves or that of `folder`/`name`.

    Raises BadSettings.
    """
    if name not in settings.pipelines:
        known = ", ".join(settings.pipelines)
        raise BadSettings(f"no pipeline {name!r}; known are: {known}")
    dotted = settings.pipelines[name]
    try:
        module = importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        raise BadSettings(
            f"pipelines.{name} = {dotted!r}: {error}; install 'dicom-node[cpu]' or [gpu]"
        ) from None
    models = folder or models_dir(model_store_of(settings), name)
    uses = getattr(module, "USES", ())
    others = {use: load_pipeline(settings, use) for use in uses if use in settings.pipelines}
    how = (settings.inference.device, worker_threads(settings))
    pipeline: Pipeline = module.load(models, *how, **others)
    return pipeline


def model_store_of(settings: Settings) -> ModelStore:
    """Say where the models are: the site's own over the shipped ones.

    Without a configuration file (data_dir is relative) there is no site.
    """
    shipped = Path(settings.node.models_dir or share.MODELS)
    data_dir = settings.node.data_dir
    return ModelStore(data_dir / "models" if data_dir.is_absolute() else NOWHERE, shipped)


def _challengers(settings: Settings, tasks: Iterable[str]) -> Iterator[tuple[str, Pipeline]]:
    """Load the challengers; one that does not load is logged and left out."""
    for task in tasks:
        try:
            folder = models_dir(model_store_of(settings), task, "challenger")
            if folder is not None:
                yield task, load_pipeline(settings, task, folder)
        except BadSettings as error:
            log.error("challenger_unusable", pipeline=task, reason=str(error))


def reader(settings: Settings, engine: Engine | None = None) -> InferenceContext:
    """Make what reading needs: decoders and loaded pipelines; raises BadSettings.

    With a database's `engine`, challengers read in shadow.
    """
    pipelines = load_pipelines(settings)
    for route, name, adjustable in routes_with_points(settings, pipelines):
        if adjustable is not None:
            adjustable.points_of(route.choice)
        else:
            log.warning("operating_point_unused", route=route.name, pipeline=name)
    return InferenceContext(
        read_header,
        radiograph.read_film,
        pipelines,
        gate=load_gate(settings),
        choices={route.name: route.choice for route in settings.routes},
        shadow=_shadow(settings, pipelines, engine),
    )


def _shadow(
    settings: Settings, pipelines: Mapping[str, Pipeline], engine: Engine | None
) -> Shadow | None:
    challengers = dict(_challengers(settings, pipelines)) if engine is not None else {}
    for task, challenger in challengers.items():
        log.info("challenger_ready", pipeline=task, version=challenger.version)
    if engine is None or not challengers:
        return None
    return Shadow(challengers, partial(store_shadow, engine))


def routes_with_points(
    settings: Settings, pipelines: Mapping[str, Pipeline]
) -> Iterator[tuple[Route, str, Adjustable | None]]:
    """List routes that ask for an operating point, with each pipeline asked.

    None for a pipeline that has none to choose from: it reads at its own.
    """
    for route in settings.routes:
        if route.choice == OWN_POINT:
            continue
        for name in route.pipelines:
            pipeline = pipelines[name]
            yield route, name, pipeline if isinstance(pipeline, Adjustable) else None


def warm_up_pipelines(reader: InferenceContext) -> None:
    """Warm everything up and let each pipeline read its phantoms.

    Raises BadSettings for a model that no longer says what it said at release:
    such a model must not serve.
    """
    warm_up()
    gate = () if reader.gate is None else (reader.gate,)
    for pipeline in (*gate, *reader.pipelines.values()):
        for check in pipeline.verify():
            if not check.ok:
                raise BadSettings(f"{check.name}: {check.words}; the model has drifted")
        log.info(
            "model_ready", pipeline=pipeline.name, version=pipeline.version, device=pipeline.device
        )
