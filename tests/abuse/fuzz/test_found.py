"""What the fuzzers found once, kept."""

from email.message import Message
from http import HTTPStatus
from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.network.dicomweb.request import HeadRefused, judge_head
from dicom_node.settings.settings import load_settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_env_file = '/etc/passwd'", "_env_file: unknown key"),
        ("_cli_parse_args = ['--node.port=5']", "_cli_parse_args: unknown key"),
        ("x = " + "[" * 5000, "too deeply nested"),
        ("[node]\nport = " + "9" * 5000, "4300 digits"),
        ('[node]\ndata_dir = "a\\u0000b"', "NUL"),
        ("[orders]\nidle_s = inf", "orders.idle_s"),
        ("[retention]\nlog_days = inf", "retention.log_days"),
        ("[receive]\nmin_free_gb = inf", "receive.min_free_gb"),
        ("[receive]\nmax_associations = " + "9" * 30, "receive.max_associations"),
        ("[[peers]]\nname = 'a'\nae_title = 'A'\nport = 65536", "port = 65536 is none"),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(BadSettings) as refusal:
        load_settings(path)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", ["not json", "[" * 100_000])
def test_an_environment_that_is_wrong_too(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.toml"
    path.write_text("")
    monkeypatch.setenv("DICOM_NODE__PEERS", value)
    with pytest.raises(BadSettings, match="environment"):
        load_settings(path)


def test_brackets_in_a_path_are_a_bad_request() -> None:
    with pytest.raises(HeadRefused) as refusal:
        judge_head("http://[studies", Message(), 1000)
    assert refusal.value.status == HTTPStatus.BAD_REQUEST
