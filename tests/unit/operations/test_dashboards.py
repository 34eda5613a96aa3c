"""The dashboard and the alert rules speak of metrics that exist."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml  # type: ignore[import-untyped] # it publishes no types
from sqlalchemy import Engine

from dicom_node.domain.operations.monitoring import Gpu, Heartbeat, ServingModel
from dicom_node.domain.work import Admission
from dicom_node.roles.console.metrics import Disk, write_metrics
from dicom_node.storage.queue.alarms import Model, keep_drift, keep_reference, set_alarms
from dicom_node.storage.queue.ledger import SqlLedger
from dicom_node.storage.status.counters import count_rows
from dicom_node.storage.status.heartbeats import record_heartbeat
from dicom_node.storage.status.readings import take_readings
from tests.support.paths import ROOT
from tests.support.rows import arrival, finished

CONFIG = ROOT / "config"
RULES, DASHBOARD = CONFIG / "prometheus" / "alerts.yml", CONFIG / "grafana" / "dicom-node.json"
SELECTED = re.compile(r"(dicom_node_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|=)\s*\"")
OF_PROMETHEUS = {"instance", "job"}


@pytest.fixture
def text(engine: Engine, ledger: SqlLedger) -> str:
    """What a busy node shows."""
    finished(ledger, 1, now=1001.0)
    ledger.record(arrival(2), Admission(not_analysed="body part HIP not in route"))
    count_rows(engine, {"CR1": "room 1"})
    models = (ServingModel("pneumothorax", "1.0", "cpu"),)
    gpus = (Gpu("0", 1, 2, 0.5),)
    record_heartbeat(engine, Heartbeat("work@h:1", "work", 1.0, 2000.0, 1, 1, models, gpus))
    set_alarms(engine, "queue_age", ("late",), 2000.0)
    model = Model("pneumothorax", "1.0", "ab")
    keep_reference(engine, model, {"Pneumothorax": [0.1, 0.2]}, 2000.0)
    keep_drift(engine, model, {"Pneumothorax": 0.3}, 2000.0)
    return write_metrics(take_readings(engine, {"CR1": "room 1"}, 2000.0), Disk(2, 1))


@pytest.fixture
def shown(text: str) -> dict[str, set[str]]:
    """Every metric with the names of its labels."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(dicom_node\w*)(?:\{([^}]*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(LABEL.findall(labels))
    return found


def asked() -> Iterator[tuple[str, str]]:
    """Every expression of the rules and of the dashboard, with where it stands."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_expression_finds_its_metric(shown: dict[str, set[str]]) -> None:
    names = set()
    for where, expression in asked():
        for name, labels in SELECTED.findall(expression):
            assert name in shown, f"{where}: {name} is not shown"
            unknown = set(LABEL.findall(labels)) - shown[name] - OF_PROMETHEUS
            assert not unknown, f"{where}: {name} has no {unknown}"
            names.add(name)
    assert len(names) > 15  # or the pattern found nothing


def test_every_metric_is_on_the_dashboard_or_in_a_rule(shown: dict[str, set[str]]) -> None:
    asked_for = {name for _, words in asked() for name, _ in SELECTED.findall(words)}
    parts_of_histogram = {f"dicom_node_turnaround_seconds_{part}" for part in ("count", "sum")}
    left = set(shown) - asked_for - parts_of_histogram
    assert left == {"dicom_node_info", "dicom_node_process_last_seen_seconds"}


def test_panels_neither_overlap_nor_share_a_number() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def promtool(*command: str, stdin: str = "") -> str:
    """Run Prometheus' own checker; gives what it says, fails when it is not content."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("not installed: promtool")
        pytest.skip("not installed: promtool")
    ended = subprocess.run(
        [program, *command],
        cwd=RULES.parent,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_prometheus_takes_the_metrics(text: str) -> None:
    assert promtool("check", "metrics", stdin=text) == ""  # it has advice for bad names


def test_prometheus_takes_the_configuration_and_its_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_the_rules_fire() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_each_rule_is_tested_to_fire() -> None:
    tests = yaml.safe_load(RULES.with_name("alerts_test.yml").read_text())["tests"]
    fired = {
        one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]
    }
    rules = {where for where, _ in asked() if where.startswith("DicomNode")}
    assert rules - fired == {"DicomNodeReceiverMissing"}  # as the worker's and the outbox's
