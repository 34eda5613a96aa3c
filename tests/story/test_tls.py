"""The whole node: an image comes over TLS, and all that follows goes over it."""

import subprocess
import time
from pathlib import Path

import pytest

from dicom_node.commands.demo.phantom import phantom_dx
from dicom_node.domain.operations.tls import TlsFiles
from dicom_node.network.tls.contexts import server_context
from tests.support.certificates import Authority, Pair
from tests.support.hospital import configure, running_node
from tests.support.listeners import SecureHL7Listener, Storescp, free_port
from tests.support.tls_files import options

pytestmark = pytest.mark.peers


def test_from_the_modality_to_pacs_and_ris(
    tmp_path: Path, authority: Authority, node_pair: Pair, peer_pair: Pair, files: TlsFiles
) -> None:
    image = tmp_path / "phantom.dcm"
    ds = phantom_dx(2, "right", made_at=time.time(), rows=512, columns=512)
    ds.save_as(image, enforce_file_format=True)
    theirs = options(authority.issue("pacs"), authority.ca)
    with (
        Storescp(tmp_path / "pacs", *theirs, ae_title="PACS") as pacs,
        SecureHL7Listener(server_context(files, mutual=True)) as ris,
    ):
        port = free_port()
        config = configure(
            tmp_path, pacs_title="PACS", pacs_port=pacs.port, hl7_port=ris.port, outputs=["sc"]
        )
        text = config.read_text().replace("workers = 1", 'workers = 1\ngate = ""')
        for name in ("pacs", "ris"):
            text = text.replace(f'name = "{name}"', f'name = "{name}"\ntls = true')
        text += f'[tls]\nmode = "mutual"\nport = {port}\nca = "{authority.ca}"\n'
        text += f'certificate = "{node_pair.certificate}"\nkey = "{node_pair.key}"\n'
        text += '[[peers]]\nname = "safe"\nae_title = "SAFE"\nhost = "127.0.0.1"\ntls = true\n'
        config.write_text(text)
        with running_node(config) as node:
            secure = options(peer_pair, authority.ca)
            to = ["-aet", "SAFE", "-aec", "CXRAI", "127.0.0.1", str(port), str(image)]
            subprocess.run(["storescu", *secure, "-xe", *to], check=True, timeout=120)
            snapshot = node.settle(1)
            assert (snapshot.dead_letters, snapshot.alarms) == ((), ())
            assert len(pacs.files) == 1
            (oru,) = ris.messages
            assert b"ORU^R01" in oru
            assert ds.SOPInstanceUID in node.log
