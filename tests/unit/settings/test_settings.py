"""Every mistake in a configuration gets one clear line."""

from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import load_settings

PACS = '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "h"\nport = 104\n'
PAIR = 'certificate = "c"\nkey = "k"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nporrt = 1", "node.porrt: unknown key"),
        ("[node]\nport = 0", "node.port = 0"),
        ('[node]\nport = "x"', "node.port = 'x'"),
        ('[node]\nae_title = "TITLE WITH TOO MANY LETTERS"', "node.ae_title: AE title"),
        ('[node]\nae_title = ""', "node.ae_title: AE title"),
        ('[inference]\ndevice = "gpu"', "inference.device = 'gpu'"),
        ("[inference]\nbatch_ms = -5", "inference.batch_ms = -5"),
        ('[tls]\nmode = "on"', "tls.mode = 'on'"),
        ('[tls]\nmode = "server"', "needs tls.certificate and tls.key"),
        ('[tls]\nmode = "mutual"\n' + PAIR, "needs tls.ca"),
        ('[tls]\ncertificate = "c"', "tls.certificate and tls.key go together"),
        ("[tls]\nplain = false", "tls.plain = false needs tls.mode"),
        ('[tls]\nmode = "server"\nport = 11112\n' + PAIR, "tls.port = 11112 is node.port already"),
        ('[orders]\nport = 1\ncallers = ["*"]\ntls = true', "orders.tls = true needs tls.mode"),
        (PACS + 'tls_fingerprint = "ab"', "tls_fingerprint is of no use without tls = true"),
        (PACS + 'tls = true\ntls_fingerprint = "ab"', "64 hexadecimal digits"),
        (PACS + "colour = 1", "peers.0.colour: unknown key"),
        (PACS + PACS, "[[peers]] name 'pacs' is used twice"),
        ('[[routes]]\nname = "a"\nsend_to = ["x"]', "send_to 'x' is not in [[peers]] or [[stow]]"),
        ('[[routes]]\nname = "a"\nnotify = ["x"]', "notify 'x' is not in [[hl7]]"),
        ('[[routes]]\nname = "a"\npipelines = ["x"]', "pipelines 'x' is not in [pipelines]"),
        ('[[routes]]\nname = "a"\noutputs = ["video"]', "routes.0.outputs.0 = 'video'"),
        (
            '[[peers]]\nname = "m"\nae_title = "M"\n[[routes]]\nname = "a"\nsend_to = ["m"]',
            "send_to 'm' needs a host and a port",
        ),
        ("port = [", "not valid TOML"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadSettings) as caught:
        load_settings(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert words in said
    assert "\n" not in said


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="dicom-node init"):
        load_settings(tmp_path / "node.toml")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, '[node]\ndata_dir = "d"\n'))
    assert settings.node.data_dir == tmp_path / "d"
    assert settings.database.url == f"sqlite:///{tmp_path}/var/node.db"
    secured = load_settings(write(tmp_path, "[tls]\n" + PAIR)).tls.files
    assert (secured.certificate, secured.key, secured.ca) == (f"{tmp_path}/c", f"{tmp_path}/k", "")


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE__NODE__PORT", "10104")
    monkeypatch.setenv("DICOM_NODE__DATABASE__URL", "postgresql+psycopg://u@h/d")
    settings = load_settings(write(tmp_path, "[node]\nport = 104\n"))
    assert settings.node.port == 10104
    assert settings.database.url == "postgresql+psycopg://u@h/d"
