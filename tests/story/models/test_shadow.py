"""Shadow, compare, promote and roll back, with the shipped model as champion."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dicom_node.assembly import pipelines
from dicom_node.commands import cli
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Findings
from dicom_node.domain.operations.models import Switch
from dicom_node.domain.pipeline import Check, Pipeline
from dicom_node.domain.study import Radiograph
from dicom_node.flow.infer import InferenceContext
from dicom_node.flow.shadow import Shadow
from dicom_node.storage.database.schema import deliveries, jobs, objects, results
from dicom_node.storage.models import (
    describe,
    history,
    install,
    linked,
    models_dir,
    stamp,
    switch,
    write_down,
)
from tests.support.challengers import SHIPPED, challenger
from tests.support.node import CONFIGURATION, MakeNode, Node

TASK = "pneumothorax"
Models = Callable[..., int]


@pytest.fixture
def models(node: Node) -> Models:
    """Run `dicom-node models ACTION pneumothorax ... -c F`."""

    def run(action: str, *more: str) -> int:
        return cli.main(["models", action, TASK, *more, "-c", str(node.config)])

    return run


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A challenger that finds a pneumothorax in every phantom."""
    return challenger(tmp_path_factory.mktemp("challengers") / "eager", shift=9.0)


def probability(row: object) -> float:
    return float(json.loads(row.findings)["findings"][0]["probability"])  # type: ignore[attr-defined] # a row


def test_the_whole_life(
    node: Node,
    models: Models,
    eager: Path,
    phantoms: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert models("compare") == 2  # nothing to compare with
    assert models("shadow", str(eager)) == 0
    reader = pipelines.reader(node.settings, node.parts.engine)
    uids = {name: node.receive(path) for name, path in phantoms.items()}
    assert node.work(reader) and node.work(reader) and not node.work(reader)

    live = [row for row in node.rows(results) if row.role == "live"]
    shadow = [row for row in node.rows(results) if row.role == "shadow"]
    assert len(live) == len(shadow) == 2
    assert {row.version for row in shadow} == {"9.9.9"}
    made_by_live = node.rows(objects)
    assert sorted(row.kind for row in made_by_live) == ["seg", "sr", "sr"]
    assert len(node.rows(deliveries)) == 3  # nothing of the challenger's is sent

    capsys.readouterr()
    assert models("compare", "--json") == 0
    compared = json.loads(capsys.readouterr().out)
    (agreement,) = compared["agreements"]
    assert (agreement["n"], agreement["both_present"], agreement["only_shadow"]) == (2, 1, 1)
    assert agreement["kappa"] == 0.0  # 1 of 2 observed; by chance (1*2 + 1*0)/4
    gaps = [abs(probability(one) - probability(two)) for one, two in zip(live, shadow, strict=True)]
    assert agreement["mean_difference"] == pytest.approx(sum(gaps) / 2)
    (differing,) = agreement["differing"]
    assert differing["sop_instance_uid"] == uids["none"]
    assert differing["live"]["probability"] < 0.1 < differing["shadow"]["probability"]
    assert models("compare") == 0
    assert uids["none"] in capsys.readouterr().out

    assert models("promote") == 1  # neither --data nor --force
    assert models("promote", "--force") == 0
    assert pipelines.load_pipeline(node.settings, TASK).version == "9.9.9"
    store = pipelines.model_store_of(node.settings)
    assert linked(store, TASK, "challenger") is None
    assert cli.main(["models", "list", "-c", str(node.config)]) == 0
    assert "9.9.9  promoted" in capsys.readouterr().out
    assert models("rollback") == 0
    assert pipelines.load_pipeline(node.settings, TASK).version != "9.9.9"
    assert models("rollback") == 1
    assert "no model served before it" in capsys.readouterr().err
    lines = (store.root / TASK / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["command"] for line in lines] == ["promote", "rollback"]
    assert json.loads(lines[0])["to"]["version"] == json.loads(lines[1])["from"]["version"]


def test_a_challenger_that_does_not_verify_is_refused(
    node: Node, models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models("shadow", str(challenger(tmp_path / "drifted", 5.0, honest=False))) == 1
    assert "phantom" in capsys.readouterr().err
    damaged = challenger(tmp_path / "damaged", 0.0)
    (damaged / "model.onnx").write_bytes(b"not these weights")
    assert models("shadow", str(damaged)) == 2
    assert models("shadow", str(challenger(tmp_path / "same", 1.0, version=_shipped()))) == 2
    assert "a version of its own" in capsys.readouterr().err
    assert models("shadow", str(tmp_path / "nowhere")) == 2
    assert models("shadow") == 2
    store = pipelines.model_store_of(node.settings)
    assert linked(store, TASK, "challenger") is None
    assert list((store.root / TASK / "versions").glob("*")) == []


def _shipped() -> str:
    return describe(SHIPPED).version


def test_shadow_stops(make_node: MakeNode, eager: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = make_node(CONFIGURATION + 'operating_point = "high_specificity"\n')

    def models(action: str, *more: str) -> int:
        return cli.main(["models", action, *more, "-c", str(node.config)])

    assert models("shadow", TASK, "--stop") == 2  # there is none
    assert models("shadow", TASK, str(eager)) == 0
    assert models("verify") == 0
    said = capsys.readouterr().out
    assert "ok      challenger pneumothorax weights: version 9.9.9" in said
    assert "route chest pneumothorax: Pneumothorax judged at high_specificity, threshold" in said
    assert pipelines.reader(node.settings, node.parts.engine).shadow is not None
    assert models("shadow", TASK, "--stop") == 0
    assert pipelines.reader(node.settings, node.parts.engine).shadow is None


@dataclass
class Failing:
    """A challenger that breaks on every image."""

    name: str = TASK
    version: str = "9"
    device: str = "none"
    asked: int = 0

    def read(self, radiograph: Radiograph) -> Findings:
        self.asked += 1
        raise RuntimeError("out of memory")

    def verify(self) -> tuple[Check, ...]:
        return ()


def shadowed(node: Node, failing: Pipeline) -> InferenceContext:
    def keep(instance_id: int, findings: Findings, now: float) -> None:
        raise AssertionError("a failed reading is not kept")

    return replace(pipelines.reader(node.settings), shadow=Shadow({TASK: failing}, keep))


def test_a_failing_challenger_never_fails_the_job(node: Node, phantoms: dict[str, Path]) -> None:
    failing = Failing()
    node.receive(phantoms["right"])
    assert node.work(shadowed(node, failing))
    assert failing.asked == 1
    assert [row.state for row in node.rows(jobs)] == ["completed"]
    assert [row.role for row in node.rows(results)] == ["live"]


def test_a_broken_challenger_does_not_keep_the_worker_from_starting(
    node: Node, models: Models, eager: Path
) -> None:
    assert models("shadow", str(eager)) == 0
    store = pipelines.model_store_of(node.settings)
    folder = models_dir(store, TASK, "challenger")
    assert folder is not None
    (folder / TASK / "model.onnx").write_bytes(b"damaged on disk")
    assert pipelines.reader(node.settings, node.parts.engine).shadow is None


def test_a_switch_shows_one_model_or_the_other(node: Node, eager: Path) -> None:
    store = pipelines.model_store_of(node.settings)
    second = challenger(eager.parent / "second", 1.0, version="9.9.10")
    both = [install(store, TASK, folder, lambda _: None) for folder in (eager, second)]
    assert install(store, TASK, eager, lambda _: None) == both[0]  # the same is one
    before = stamp(store, [TASK])
    for ref in both:
        switch(store, TASK, "current", ref)
        assert linked(store, TASK) == ref
    assert stamp(store, [TASK]) != before
    # a power loss between the new link and the rename leaves the model before
    place = store.root / TASK / "current"
    place.with_name(".current.1").symlink_to(both[0].folder)
    assert linked(store, TASK) == both[1]
    # a model once installed is never changed, so the source may go
    (second / "model.toml").write_text("")
    assert pipelines.load_pipeline(node.settings, TASK).version == "9.9.10"
    (place.parent / both[1].folder / "model.toml").unlink()
    with pytest.raises(BadSettings, match="leads to no model"):
        models_dir(store, TASK)
    assert history(store, TASK) == ()


def test_rollback_mends_a_lost_model_and_a_torn_history(
    node: Node, models: Models, eager: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = pipelines.model_store_of(node.settings)
    ref = install(store, TASK, eager, lambda _: None)
    shipped = linked(store, TASK)
    assert shipped is not None
    (store.root / TASK / "history.jsonl").write_text('{"from": {"ver')  # the power went here
    write_down(store, TASK, Switch(1.0, "promote", shipped, ref, {"margin": 0.02}))
    switch(store, TASK, "current", ref)
    assert history(store, TASK) == (Switch(1.0, "promote", shipped, ref, {"margin": 0.02}),)
    (store.root / TASK / ref.folder / "model.toml").unlink()
    assert models("compare") == 2
    assert "leads to no model" in capsys.readouterr().err
    assert models("rollback") == 0
    assert linked(store, TASK) == shipped
