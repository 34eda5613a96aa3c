"""A template that cannot work is refused with its remedy."""

from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import load_settings
from tests.support.oru_messages import HEAD

SECOND = HEAD.replace("ris", "ris2")


def refused(tmp_path: Path, *lines: str) -> str:
    config = tmp_path / "node.toml"
    config.write_text(HEAD + "\n".join(lines))
    with pytest.raises(BadSettings) as caught:
        load_settings(config)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('segments = ["PID", "OBX"]', "hl7 'ris': segments lacks 'OBR'"),
        ('segments = ["OBR"]', "segments lacks 'OBX'"),
        ('segments = ["PV1", "OBR", "OBX"]', "'PV1' without 'PID'"),
        ('segments = ["OBR", "OBX", "OBX"]', "names 'OBX' twice"),
        ('segments = ["OBR", "OBX", "PIP"]', "hl7.0.segments.2 = 'PIP'"),
        ('version = "3.0"', "hl7.0.version = '3.0': Input should be '2.3.1', '2.4', '2.5'"),
        (
            'codes = {"4711" = {value = "A", scheme = "L", meaning = "B"}}',
            "'4711' is no code of the node",
        ),
        (
            'codes = {"36118008" = {value = "", scheme = "L", meaning = "B"}}',
            "codes.36118008 needs a value",
        ),
        ('codes = {"36118008" = {value = "A"}}', "hl7.0.codes.36118008.scheme"),
        ("templates = 1", "hl7.0.templates: unknown key"),
        ('escalation = ["pager"]', "escalation 'pager' is not in [[hl7]]"),
        ('escalation = ["ris"]', "escalation names the receiver itself"),
        ("escalate_after_s = 0", "escalate_after_s must be more than 0"),
        ('embed_pdf = "perhaps"', "hl7.0.embed_pdf = 'perhaps'"),
    ],
)
def test_a_wrong_key_is_named(line: str, words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, line)


def test_nobody_stands_in_for_two(tmp_path: Path) -> None:
    third = SECOND.replace("ris2", "pager")
    said = refused(tmp_path, 'escalation = ["pager"]', SECOND, 'escalation = ["pager"]', third)
    assert "hl7 'ris2': escalation 'pager' stands in for 'ris' already" in said


def test_a_whole_template_is_taken(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        HEAD
        + 'version = "2.4"\nsegments = ["PID", "OBR", "OBX"]\nzds = true\nembed_pdf = true\n'
        + 'escalation = ["ris2"]\nescalate_after_s = 60\n'
        + '[hl7.codes.36118008]\nvalue = "PTX"\nscheme = "L"\nmeaning = "Pneumothorax"\n'
        + SECOND
    )
    first, second = load_settings(config).hl7
    assert first.codes["36118008"].value == "PTX"
    assert (first.escalation, first.escalate_after_s, second.escalation) == (("ris2",), 60, ())
