"""What the configuration must say of a peer that is to commit."""

from pathlib import Path

import pytest

from dicom_node.domain.errors import BadSettings
from dicom_node.settings.settings import load_settings

PEER = """\
[[peers]]
name = "pacs"
ae_title = "PACS"
storage_commitment = true
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "storage_commitment = true needs host and port"),
        ('host = "h"\nport = 104\nmay_send = false', "needs may_send = true"),
        ('host = "h"\nport = 104\ncommit_timeout_s = 0', "commit_timeout_s must be more than 0"),
    ],
)
def test_what_cannot_work_is_refused(more: str, words: str, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(PEER + more)
    with pytest.raises(BadSettings, match=f"peer 'pacs': .*{words}"):
        load_settings(config)


def test_a_peer_with_an_address_may_be_asked(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(PEER + 'host = "h"\nport = 104\ncommit_timeout_s = 60')
    (peer,) = load_settings(config).peers
    assert (peer.storage_commitment, peer.commit_timeout_s) == (True, 60)
