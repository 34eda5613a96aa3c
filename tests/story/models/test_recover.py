"""A database that is lost or restored: no film that was acknowledged is."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from dicom_node.commands import cli
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.flow import tidy
from dicom_node.storage.database.schema import instances, jobs
from dicom_node.storage.status.retention import SqlRetention
from tests.support.node import CONFIGURATION, MakeNode, Node

TOMORROW = 4e9


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"{number}.dcm" for number in range(3)]
    for number, path in enumerate(paths):
        made = phantom_dx(number, "none", made_at=1.7e9 + number, rows=300, columns=300)
        made.save_as(path, enforce_file_format=True)
    return paths


def copy_database(node: Node, to: Path) -> None:
    """Copy it while it is in use."""
    with sqlite3.connect(node.settings.node.data_dir / "node.db") as ours:
        with sqlite3.connect(to) as theirs:
            ours.backup(theirs)
        theirs.close()
    ours.close()


def lose_database(node: Node) -> None:
    node.parts.close()
    for left in node.settings.node.data_dir.glob("node.db*"):
        left.unlink()


def known(node: Node) -> set[str]:
    return {row.sop_instance_uid for row in node.rows(instances)}


def sweep(node: Node) -> tidy.Sweep:
    return tidy.sweep_orphans(
        SqlRetention(node.parts.engine),
        node.parts.archive.old_keys(TOMORROW),
        lambda key: node.parts.archive.set_aside(key, TOMORROW),
    )


def test_films_after_the_backup_are_registered_and_queued(
    make_node: MakeNode, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = make_node(CONFIGURATION)
    before = node.receive(films[0])
    copy_database(node, tmp_path / "backup.db")
    after = {node.receive(film) for film in films[1:]}
    lose_database(node)
    shutil.move(tmp_path / "backup.db", node.settings.node.data_dir / "node.db")

    restored = make_node(CONFIGURATION)
    assert known(restored) == {before}
    assert sweep(restored).set_aside == 2  # the worst that tidying can do
    for _ in range(2):  # a second run finds nothing more to do
        assert cli.main(["recover", "-c", str(restored.config)]) == 0
        assert known(restored) == {before, *after}
        assert len(restored.rows(jobs)) == 3
    said = capsys.readouterr().out.splitlines()
    counts = [line.split()[0] for line in said if "films registered" in line]
    assert counts == ["2", "0"]
    assert sweep(restored).unknown == 0
    for row in restored.rows(instances):
        assert len(restored.parts.archive.read(row.file_key)) == row.file_size


def test_a_lost_database_is_made_anew_from_the_archive(
    make_node: MakeNode, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    node = make_node(CONFIGURATION)
    received = {node.receive(film) for film in films}
    lose_database(node)
    assert cli.main(["migrate", "-c", str(node.config)]) == 2
    assert "belongs to another database" in capsys.readouterr().err
    assert cli.main(["recover", "-c", str(node.config), "--adopt"]) == 0
    renewed = make_node(CONFIGURATION)
    assert known(renewed) == received


def test_what_cannot_be_read_is_named_and_stops_nothing(
    make_node: MakeNode, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    node = make_node(CONFIGURATION)
    broken = node.parts.archive.put([b"no DICOM at all"], "instances", ".dcm").key
    result = node.parts.archive.put([films[0].read_bytes()], "results", ".dcm").key
    node.parts.archive.put([films[1].read_bytes()], "instances", ".dcm")
    assert cli.main(["recover", "-c", str(node.config)]) == 1
    said = capsys.readouterr().out
    assert broken in said and result not in said
    assert "1 films registered" in said
    (row,) = node.rows(instances)
    assert (row.host, row.calling_ae) == ("recover", "RECOVER")
