"""The status page over real HTTP."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from dicom_node.commands.status import in_words
from dicom_node.domain.errors import BadSettings, TryAgain
from dicom_node.domain.operations.monitoring import Heartbeat, ServingModel
from dicom_node.domain.operations.status import (
    Alarm,
    Caller,
    Commitments,
    DeadLetter,
    Depth,
    Replaced,
    Sender,
    StatusSnapshot,
)
from dicom_node.domain.work import QUOTED
from dicom_node.roles.console import run as run_console
from dicom_node.roles.console.server import AT_ONCE, Views, serving
from dicom_node.settings.settings import load_settings
from tests.support.listeners import free_port, until

CENSUS = StatusSnapshot(
    at=1.7e9,
    jobs=Depth("jobs", available=1, executing=2, completed=30, oldest_s=12.0),
    deliveries=(Depth("pacs", discarded=2, oldest_s=5.0),),
    analysed=28,
    pending=3,
    not_analysed=(("body part HIP not in route", 4),),
    dead_letters=(
        DeadLetter("delivery", 7, "pacs", "sr 1.2", "1", 9, f"GiveUp: no{QUOTED}DOE^JOHN", 1.7e9),
    ),
    commitments=(Commitments("archive", 4, 9, 1, 77.0),),
    replaced=(Replaced("archive", "sr (comprehensive)", "text_sr", "class refused", 1.7e9),),
    senders=(Sender("XRAY1", 31, 1.7e9),),
    callers=(Caller("<script>", "10.0.0.9", 3, 1.7e9),),
    processes=(
        Heartbeat(
            "work@h:7", "work", 1.6e9, 1.7e9 - 3, 1, 1, (ServingModel("anatomy", "1.2", "cpu"),)
        ),
    ),
    alarms=(Alarm("disk", "free disk space is below the reserve", 1, 1.7e9, 1.7e9),),
)


def away() -> NoReturn:
    raise TryAgain("database is away")


SHOWN = Views(snapshot=lambda: CENSUS, missing=lambda: (), metrics=lambda: "a_metric 1\n")
AWAY = Views(snapshot=away, missing=away, metrics=away)


@contextmanager
def console(views: Views) -> Iterator[str]:
    port = free_port()
    with serving("127.0.0.1", port, views):
        address = f"http://127.0.0.1:{port}"
        until(lambda: get(address + "/healthz")[0] == 200, "the console")
        yield address


def get(address: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_the_page_tells_the_state_and_escapes_what_strangers_sent() -> None:
    with console(SHOWN) as address:
        status, page = get(address + "/")
    assert status == 200
    for words in (
        "28 images analysed",
        "body part HIP",
        "XRAY1",
        "free disk space",
        "GiveUp: no",
        "work@h:7",
        "3 s",
        "anatomy 1.2",
        "77 s",
        "class refused",
    ):
        assert words in page, words
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "DOE" not in page  # a peer's own words may name a patient


def test_status_as_json_and_health() -> None:
    with console(SHOWN) as address:
        status = get(address + "/status.json")[1]
        assert json.loads(status)["jobs"]["executing"] == 2
        assert "GiveUp: no" in status
        assert "DOE" not in status
        assert get(address + "/readyz") == (200, "ready\n")
        assert get(address + "/metrics") == (200, "a_metric 1\n")
        assert get(address + "/elsewhere")[0] == 404


def test_a_role_without_a_sign_of_life_makes_it_not_ready() -> None:
    views = replace(SHOWN, missing=lambda: ("receive", "work"))
    with console(views) as address:
        assert get(address + "/readyz") == (503, "no sign of life from: receive, work\n")
        assert get(address + "/healthz") == (200, "ok\n")


@pytest.mark.parametrize("path", ["/", "/status.json", "/readyz", "/metrics"])
def test_without_database_it_is_alive_but_not_ready(path: str) -> None:
    with console(AWAY) as address:
        assert get(address + "/healthz")[0] == 200
        assert get(address + path) == (503, "database is away\n")


def test_a_port_that_is_taken_ends_the_role(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f'node.data_dir = "{tmp_path}"\nconsole.port = {port}\n')
        with pytest.raises(BadSettings, match=r"console\.port: cannot listen"):
            run_console(load_settings(config), threading.Event())


def test_idle_callers_do_not_become_endlessly_many_threads() -> None:
    with console(SHOWN) as address, ExitStack() as stack:
        port = int(address.rpartition(":")[2])
        before = threading.active_count()
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        until(lambda: threading.active_count() >= before + 4 * AT_ONCE, "the limit")
        assert threading.active_count() <= before + 4 * AT_ONCE + 16


def test_the_terminal_tells_who_lives() -> None:
    assert "process     work@h:7: alive, 0 MB, 1 files; anatomy 1.2 on cpu" in in_words(CENSUS, 1)
    later = in_words(replace(CENSUS, at=1.7e9 + 100), 1)
    assert "process     work@h:7: SILENT for 103 s" in later
