"""Commands as their users type them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicom_node import share
from dicom_node.commands import cli
from dicom_node.commands.analyze import in_words
from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.settings.settings import load_settings
from dicom_node.storage.database.engine import open_database, schema_version_of
from dicom_node.storage.database.migrations.runner import HEAD, MIGRATIONS, migrate
from tests.support.hospital import configure
from tests.support.listeners import HL7Listener, Orthanc


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with a right pneumothorax as DX."""
    path = tmp_path_factory.mktemp("dx") / "right.dcm"
    ds = phantom_dx(2, "right", made_at=1.7e9, rows=512, columns=512)
    ds.save_as(path, enforce_file_format=True)
    return path


def test_init_check_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", str(tmp_path / "site")]) == 0
    config = str(tmp_path / "site" / "node.toml")
    assert cli.main(["init", str(tmp_path / "site")]) == 2  # never overwrites
    assert cli.main(["check", "-c", config]) == 1  # nobody listens at the example's addresses
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok      database: reachable and empty") for line in lines)
    assert {line.split()[1] for line in lines if line.startswith("FAILED")} == {"pacs:", "ris:"}
    assert cli.main(["status", "-c", config]) == 2
    assert "run dicom-node migrate" in capsys.readouterr().err
    assert cli.main(["migrate", "-c", config]) == 0
    capsys.readouterr()
    assert cli.main(["status", "-c", config, "--json"]) == 0
    snapshot = json.loads(capsys.readouterr().out)
    assert snapshot["jobs"]["available"] == 0
    assert snapshot["disk_free_bytes"] > 0


def test_check_leaves_an_older_schema_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[inference]\ngate = ""\n[pipelines]\n')
    engine = open_database(load_settings(config).database.url)
    migrate(engine, MIGRATIONS[:-1])
    assert cli.main(["check", "-c", str(config)]) == 1
    assert "run dicom-node migrate" in capsys.readouterr().out
    assert schema_version_of(engine) == HEAD - 1
    engine.dispose()
    assert cli.main(["migrate", "-c", str(config)]) == 0
    cli.main(["check", "-c", str(config)])
    assert f"ok      database: reachable, schema at version {HEAD}" in capsys.readouterr().out


@pytest.mark.peers
def test_check_is_green_when_all_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Orthanc() as orthanc, HL7Listener() as ris:
        config = configure(tmp_path, pacs_port=orthanc.dicom_port, hl7_port=ris.port)
        code = cli.main(["check", "-c", str(config)])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "pacs seg: accepts" in said
    assert said.count("phantom") >= 3


def test_bad_usage_exits_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node.toml").write_text("[node]\nporrt = 1\n")
    for arguments in (
        ["check", "-c", str(tmp_path / "node.toml")],
        ["run", "-c", str(tmp_path / "none.toml")],
        ["send", str(tmp_path), "--to", "nonsense"],
        ["train", "nosuchtask"],
        ["analyze", str(tmp_path / "none.dcm"), "--out", str(tmp_path)],
        ["analyze", str(tmp_path), "--out", str(tmp_path), "--pipeline", "nosuch"],
    ):
        assert cli.main(arguments) == 2, arguments
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert cli.main(["nosuchcommand"]) == 2


def test_analyze_writes_every_result(tmp_path: Path, right: Path) -> None:
    assert cli.main(["analyze", str(right), "--out", str(tmp_path), "--device", "cpu"]) == 0
    folder = tmp_path / "right"
    result = json.loads((folder / "findings.json").read_text())
    tasks = ["pneumothorax", "anatomy", "chest_findings", "pneumonia", "abnormality"]
    assert [one["name"] for one in result["pipelines"]] == tasks
    assert [one["code"]["meaning"] for one in result["findings"]][:2] == [
        "Pneumothorax",
        "Cardiomegaly",
    ]
    assert len(result["findings"]) == 1 + 1 + 8 + 1 + 1
    finding = result["findings"][0]
    assert result["not_analysed"] is None
    assert {"decode", "suitability", "inference"} <= set(result["timings_ms"])
    assert result["sop_instance_uid"] == dcmread(right).SOPInstanceUID
    assert (finding["present"], finding["side"]) == ("present", "right")
    assert set(result["objects"]) == {path.name for path in folder.iterdir()} - {"findings.json"}
    assert {"seg.dcm", "sr.dcm", "text_sr.dcm", "sc.dcm", "oru.hl7"} <= set(result["objects"])
    assert dcmread(folder / "seg.dcm").Rows == 512


@pytest.mark.parametrize(
    ("unit", "words"),
    [("mm", "width 3.5 mm"), ("1", "width 3.5"), ("{pixels}", "width 3.5 pixels")],
)
def test_units_are_said_as_people_write_them(unit: str, words: str) -> None:
    measured = {"name": "width", "value": 3.5, "unit": unit}
    finding = {
        "code": {"meaning": "Mass"},
        "present": "present",
        "probability": 0.5,
        "side": "undetermined",
        "measurements": [measured],
        "urgent": False,
    }
    result = {"source": "a.dcm", "not_analysed": None, "findings": [finding]}
    assert in_words(result) == f"a.dcm: mass present (p=0.50), {words}"


def test_analyze_takes_png_and_names_the_unreadable(
    tmp_path: Path, right: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = dcmread(right).pixel_array
    low, high = np.percentile(shown, (0.5, 99.5))
    grey = np.clip((shown - low) / (high - low), 0, 1)
    Image.fromarray((255 * grey).astype(np.uint8)).save(tmp_path / "film.png")
    noise = np.random.default_rng(5).integers(0, 256, (512, 512), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (tmp_path / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    paths = [str(tmp_path / "film.png"), str(tmp_path / "noise.png"), str(tmp_path / "notes.txt")]
    assert cli.main(["analyze", *paths, "--out", str(out), "--json"]) == 0
    film, snow, notes = map(json.loads, capsys.readouterr().out.splitlines())
    assert film["not_analysed"] is None
    assert film["findings"][0]["present"] == "present"
    assert film["findings"][0]["side"] == "undetermined"  # a picture has no orientation
    assert snow["findings"] == notes["findings"] == []
    assert snow["not_analysed"].startswith("not a frontal chest radiograph")
    assert notes["not_analysed"]


def test_a_drifted_model_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(share.MODELS, tmp_path / "models")
    folder = tmp_path / "models" / "pneumothorax"
    contract = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(re.sub(r"\nslope = .*", "\nslope = 0.1", contract))
    config = configure(tmp_path)
    text = config.read_text().replace("[node]", f'[node]\nmodels_dir = "{tmp_path / "models"}"')
    config.write_text(text)
    assert cli.main(["models", "verify", "-c", str(config)]) == 1
    assert "FAILED  pneumothorax phantom" in capsys.readouterr().out
    assert cli.main(["migrate", "-c", str(config)]) == 0
    assert cli.main(["work", "-c", str(config)]) == 2  # ends at once instead of serving
    assert "drifted" in capsys.readouterr().err
