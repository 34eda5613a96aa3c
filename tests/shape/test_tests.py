"""The tests' own layout: a mirror of the packages, and one place for what tests share."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
UNIT = TESTS / "unit"


def test_unit_tests_stand_where_their_package_does() -> None:
    for path in UNIT.rglob("test_*.py"):
        package = path.parent.relative_to(UNIT)
        root = ROOT if package.parts[0] == "pipelines" else ROOT / "dicom_node"
        assert (root / package).is_dir(), path


def imported(path: Path) -> Iterator[str]:
    """Name the modules that a file imports, and what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_no_test_imports_another() -> None:
    for path in TESTS.rglob("*.py"):
        for name in imported(path):
            parts = name.split(".")
            ours = parts[0] == "tests"
            another = any(one.startswith("test_") or one == "conftest" for one in parts[:-1])
            assert not (ours and another), f"{path} imports {name}"
            assert not (ours and UNIT in path.parents and parts[1] != "support"), path
