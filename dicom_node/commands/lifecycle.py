"""Challenge, compare, promote and roll back the models of a site."""

import contextlib
import importlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicom_node.assembly import parts as node
from dicom_node.assembly import pipelines
from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.domain.operations.models import (
    Agreement,
    ModelRef,
    Switch,
    agreements,
    objection,
    previous,
)
from dicom_node.settings.settings import Settings
from dicom_node.storage import models
from dicom_node.storage.queue.shadow import read_by_both

TAKEN_UP = "running workers take it up before their next image"
SHOWN = 20
"""Differing images in words; --json has them all."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models of a task over the images that both have read."""

    task: str
    live: ModelRef
    shadow: ModelRef
    agreements: tuple[Agreement, ...]


def shadow(settings: Settings, task: str, folder: Path) -> Iterator[str]:
    """Let the model in `folder` read live jobs in shadow, once it has been verified.

    Raises BadSettings for a model that cannot be told from the one that serves.
    """
    store, current = _store(settings, task)
    if models.describe(folder).version == current.version:
        raise BadSettings(
            f"{folder}: version {current.version} is the one that serves; "
            "give the challenger a version of its own in model.toml"
        )

    def prove(copied: Path) -> None:
        for check in pipelines.load_pipeline(settings, task, copied).verify():
            if not check.ok:
                raise GiveUp(f"{folder}: {check.name}: {check.words}")

    challenger = models.install(store, task, folder, prove)
    models.switch(store, task, "challenger", challenger)
    yield f"{task} {_named(challenger)} reads in shadow; {TAKEN_UP}"


def stop_shadow(settings: Settings, task: str) -> Iterator[str]:
    """End the shadow; what the challenger said stays in the database."""
    store, _ = _store(settings, task)
    challenger = _challenger(store, task)
    models.switch(store, task, "challenger", None)
    yield f"{task} {_named(challenger)} no longer reads in shadow"


def compare(settings: Settings, task: str) -> Comparison:
    """Compare the challenger with the model that serves."""
    store, current = _store(settings, task)
    challenger = _challenger(store, task)
    with contextlib.closing(node.open_parts(settings)) as parts:
        pairs = read_by_both(parts.engine, task, current, challenger)
    return Comparison(task, current, challenger, agreements(pairs))


def compared_in_words(comparison: Comparison) -> Iterator[str]:
    """Say a comparison in lines for a terminal."""
    yield (
        f"{comparison.task}: live {_named(comparison.live)}, challenger {_named(comparison.shadow)}"
    )
    if not comparison.agreements:
        yield "no image has been read by both yet"
    for agreement in comparison.agreements:
        kappa = "undefined" if agreement.kappa is None else f"{agreement.kappa:.3f}"
        yield (
            f"{agreement.finding}: {agreement.n} images, both present {agreement.both_present}, "
            f"both absent {agreement.both_absent}, only live {agreement.only_live}, "
            f"only challenger {agreement.only_shadow}, kappa {kappa}, "
            f"mean difference of probability {agreement.mean_difference:.4f}"
        )
        for pair in agreement.differing[:SHOWN]:
            words = f"live {pair.live.probability:.3f}, challenger {pair.shadow.probability:.3f}"
            yield f"  {pair.sop_instance_uid}  {words}"
        if len(agreement.differing) > SHOWN:
            yield f"  and {len(agreement.differing) - SHOWN} more (--json)"


def compared_as_json(comparison: Comparison) -> str:
    """Write a comparison as JSON, every differing image in it."""
    return json.dumps(asdict(comparison), indent=2)


def promote(
    settings: Settings, task: str, validation: Path | None, margin: float, force: bool
) -> Iterator[str]:
    """Let the challenger serve, unless it is worse on the site's validation set.

    Raises GiveUp, with the figures, for a challenger that is; `force` overrules.
    """
    store, current = _store(settings, task)
    challenger = _challenger(store, task)
    figures: dict[str, float] = {}
    if validation is not None:
        current_auc = _auc(settings, task, models.models_dir(store, task), validation)
        folder = models.models_dir(store, task, "challenger")
        challenger_auc = _auc(settings, task, folder, validation)
        known = {"current_auc": current_auc, "challenger_auc": challenger_auc, "margin": margin}
        figures = {name: value for name, value in known.items() if not math.isnan(value)}
        yield f"AUC on {validation}: current {current_auc:.4f}, challenger {challenger_auc:.4f}"
        against = objection(current_auc, challenger_auc, margin)
        if against is not None and not force:
            raise GiveUp(f"{task} {_named(challenger)} is not promoted: {against}")
    elif not force:
        raise GiveUp(
            f"{task} {_named(challenger)} is not promoted: name the site's labelled images "
            "with --data DIR, or --force it"
        )
    # written down first: a switch that no line tells of could not be rolled back
    change = Switch(time.time(), "promote", current, challenger, figures)
    models.write_down(store, task, change)
    models.switch(store, task, "current", challenger)
    models.switch(store, task, "challenger", None)
    yield f"{task} {_named(challenger)} serves in place of {_named(current)}; {TAKEN_UP}"


def rollback(settings: Settings, task: str) -> Iterator[str]:
    """Let the model serve that served before; raises GiveUp when there is none."""
    store, current = _store(settings, task, whole=False)
    before = previous(models.history(store, task), current)
    if before is None:
        raise GiveUp(f"{task} {_named(current)}: no model served before it")
    if before.folder:
        models.describe(store.root / task / before.folder)  # raises when it is gone
    # switched first: a line without its switch would hide the way back
    models.switch(store, task, "current", before)
    models.write_down(store, task, Switch(time.time(), "rollback", current, before))
    yield f"{task} {_named(before)} serves again in place of {_named(current)}; {TAKEN_UP}"


def _store(
    settings: Settings, task: str, *, whole: bool = True
) -> tuple[models.ModelStore, ModelRef]:
    """Open the store; gives the serving model too, and if not `whole` a broken one."""
    if task not in settings.pipelines:
        raise BadSettings(f"no pipeline {task!r}; known are: {', '.join(settings.pipelines)}")
    store = pipelines.model_store_of(settings)
    try:
        current = models.linked(store, task)
    except BadSettings:
        if whole:
            raise
        current = ModelRef("(unreadable)", "", models.stamp(store, [task])[0] or "")
    if current is None:
        raise BadSettings(f"{store.shipped}: holds no model for {task}")
    return store, current


def _challenger(store: models.ModelStore, task: str) -> ModelRef:
    challenger = models.linked(store, task, "challenger")
    if challenger is None:
        raise BadSettings(f"{task} has no challenger; name one: models shadow {task} FOLDER -c F")
    return challenger


def _named(model: ModelRef) -> str:
    return f"{model.version} ({model.sha256[:12]})"


def _auc(settings: Settings, task: str, folder: Path | None, validation: Path) -> float:
    """Measure a model as `dicom-node evaluate` does; the table goes to stderr."""
    # by its dotted path: the service does not import pipelines
    evaluate = importlib.import_module("pipelines.tools.evaluate").evaluate
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(sys.stderr):
        table = Path(scratch) / "table.json"
        arguments = [task, "--data", str(validation), "--models", str(folder), "--split", "val"]
        evaluate([*arguments, "--device", settings.inference.device, "--json", str(table)])
        groups: dict[str, Any] = json.loads(table.read_text(encoding="utf-8"))["groups"]
    for group in [groups.get("all", {}), *groups.values()]:
        for name in ("auc", "mean AUC"):
            if isinstance(group.get(name), dict):
                return float(group[name]["value"])
    raise GiveUp(f"the evaluation of {task} gives no AUC; compare, then promote with --force")
