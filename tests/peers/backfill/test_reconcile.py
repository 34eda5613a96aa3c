"""Comparing with a real PACS what was received."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.assembly.parts import Parts, open_parts
from dicom_node.commands import cli
from dicom_node.operations.reconciliation import nightly_trigger, probe, reconcile_nightly
from dicom_node.settings.settings import load_settings
from dicom_node.storage.status.status import take_snapshot
from tests.support.listeners import Orthanc
from tests.support.pacs_images import ROOT, fill, radiograph, received

pytestmark = pytest.mark.peers

YESTERDAY = f"{date.today() - timedelta(days=1):%Y%m%d}"


@pytest.fixture
def nightly_config(config: Path) -> Path:
    config.write_text(config.read_text() + '[reconcile]\npeer = "pacs"\n')
    return config


@contextmanager
def parts_of(config: Path) -> Iterator[Parts]:
    with closing(open_parts(load_settings(config))) as parts:
        yield parts


def alarms(parts: Parts) -> list[tuple[str, str]]:
    return [(one.kind, one.words) for one in take_snapshot(parts.engine, 0).alarms]


def go_on(_seconds: float) -> bool:
    return False


def test_missing_images_raise_an_alarm_until_they_are_here(
    pacs: Orthanc, nightly_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(pacs, [radiograph(1, YESTERDAY), radiograph(2, YESTERDAY), radiograph(3, "20200101")])
    with parts_of(nightly_config) as parts:
        reconcile_nightly(parts, go_on)
        assert [kind for kind, _ in alarms(parts)] == ["missing_at_node"]
        assert "pacs: 2 images of 2 studies of" in alarms(parts)[0][1]
        assert "TEST^PATIENT" not in alarms(parts)[0][1]
        assert received(nightly_config) == []

        cli.main(["status", "-c", str(nightly_config)])
        assert "missing_at_node: pacs: 2 images" in capsys.readouterr().out

        assert cli.main(["reconcile", "-c", str(nightly_config)]) == 1
        assert f"{ROOT}.1.1: 1 images, 0 were here, 1 missing" in capsys.readouterr().out
        assert cli.main(["reconcile", "-c", str(nightly_config), "--fetch"]) == 0
        assert sorted(received(nightly_config)) == [f"{ROOT}.1", f"{ROOT}.2"]
        assert alarms(parts) == []


def test_a_pacs_that_is_away_raises_an_alarm(pacs: Orthanc, nightly_config: Path) -> None:
    text = nightly_config.read_text()
    nightly_config.write_text(text.replace(f"port = {pacs.dicom_port}", "port = 9"))
    with parts_of(nightly_config) as parts, capture_logs():
        reconcile_nightly(parts, go_on)
        assert [kind for kind, _ in alarms(parts)] == ["reconciliation_failed"]
        assert "cannot connect to 127.0.0.1:9" in alarms(parts)[0][1]
    nightly_config.write_text(text)
    with parts_of(nightly_config) as parts:
        reconcile_nightly(parts, go_on)
        assert alarms(parts) == []


def test_a_night_that_fails_for_whatever_reason_raises_an_alarm(
    pacs: Orthanc, nightly_config: Path
) -> None:
    def broken(_seconds: float) -> bool:
        raise ValueError("Miller^Anna")

    fill(pacs, [radiograph(1, YESTERDAY)])
    nightly_config.write_text(nightly_config.read_text() + "fetch = true\n")
    with parts_of(nightly_config) as parts, capture_logs() as logs:
        reconcile_nightly(parts, broken)
        assert alarms(parts) == [("reconciliation_failed", "pacs: ValueError")]
    assert "Anna" not in str(logs)


@pytest.mark.parametrize("fetch", [False, True])
def test_check_says_whether_the_pacs_lets_us_ask(
    pacs: Orthanc, config: Path, nightly_config: Path, fetch: bool
) -> None:
    text = nightly_config.read_text() + f"fetch = {str(fetch).lower()}\n"
    nightly_config.write_text(text)
    (told,) = probe(load_settings(nightly_config))
    assert told.ok, told.words
    assert ("C-GET" in told.words) is fetch

    nightly_config.write_text(text.replace(f"port = {pacs.dicom_port}", "port = 9"))
    (told,) = probe(load_settings(nightly_config))
    assert not told.ok
    assert "cannot connect" in told.words

    nightly_config.write_text(text.replace('peer = "pacs"', 'peer = ""'))
    assert list(probe(load_settings(nightly_config))) == []


def test_a_night_has_its_hour_only_with_a_peer(config: Path, nightly_config: Path) -> None:
    night = nightly_trigger(load_settings(nightly_config))
    assert night is not None
    wanted = load_settings(nightly_config).reconcile.at
    first = night.get_next_fire_time(None, datetime.now().astimezone())
    assert first.strftime("%H:%M") == wanted
    config.write_text(nightly_config.read_text().replace('peer = "pacs"', 'peer = ""'))
    assert nightly_trigger(load_settings(config)) is None
