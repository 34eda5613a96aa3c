"""Every target holds out against damaged input, for a fixed time."""

import os
import subprocess
import sys
from pathlib import Path

from dicom_node.formats.dicom.pixels.radiograph import read_radiograph
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.dimse.options import IMAGE_SYNTAXES
from dicom_node.network.hl7.orders import parse
from dicom_node.settings.settings import load_settings
from tests.abuse.fuzz import seeds
from tests.abuse.fuzz.targets import TARGETS
from tests.support.headers import describe_bytes

SECONDS = 1.2
"""For each target; `make fuzz MINUTES=10` looks for longer, guided by coverage."""
PATIENCE_S = 120


def test_damaged_input_is_refused_and_nothing_else(tmp_path: Path) -> None:
    last = tmp_path / "last"
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "tests.abuse.fuzz"]
    # OpenBLAS takes memory for each thread, which is not what is measured
    ended = subprocess.run(
        [*command, "--seconds", str(SECONDS), "--last", str(last)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    found = last.read_bytes()[:4096] if last.exists() else b""
    assert ended.returncode == 0, (ended.stdout, ended.stderr[-4000:], found)
    counts = dict(line.split("\t") for line in ended.stdout.splitlines())
    assert set(counts) == {one.name for one in TARGETS}
    assert min(map(int, counts.values())) > 0


# Else the fuzzers would only ever see the first lines of the code.


def test_the_films_to_start_from_are_read(tmp_path: Path) -> None:
    made = seeds.made_files()
    for number, content in enumerate(made):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert read_radiograph(path)[1].pixels.shape == (256, 256)
    assert len(made) == 21


def test_the_data_sets_to_start_from_are_described() -> None:
    made = seeds.data_sets()[: 2 + len(seeds.made_files())]
    for content in made:
        syntax = str(IMAGE_SYNTAXES[content[0]])
        assert describe_bytes(content[1:], syntax).modality == "CR"


def test_the_messages_to_start_from_are_understood(tmp_path: Path) -> None:
    for content in seeds.orders():
        heard = parse(content, envelope_of(content))
        assert heard.orders or heard.patients or heard.merges
    for content in seeds.configurations():
        path = tmp_path / "node.toml"
        path.write_bytes(content)
        assert load_settings(path).peers
