"""Callers of the node's STOW-RS, and what it wrote."""

import http.client
import json
import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.network.dicomweb.scp import StowSCP
from dicom_node.storage.database.schema import callers, instances, jobs
from tests.support.encoded import chest
from tests.support.raw_scu import CR, EXPLICIT

BOUNDARY = "0f3cf5c0"
TYPE = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


@dataclass(frozen=True)
class StowNode:
    """A running server and its database."""

    scp: StowSCP
    engine: Engine
    folder: Path

    def rows(self, name: str = "instances") -> list[Any]:
        table = {"instances": instances, "jobs": jobs, "callers": callers}[name]
        with self.engine.connect() as conn:
            return list(conn.execute(select(table)))

    def stored(self) -> list[bytes]:
        """The files of the instances in the database."""
        return [
            (self.folder / "var" / "archive" / row.file_key).read_bytes() for row in self.rows()
        ]

    def post(
        self, body: bytes, path: str = "/studies", **headers: str
    ) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
        """POST a body; underscores in the names of headers stand for hyphens."""
        sent = {"Content-Type": TYPE, "Accept": "application/dicom+json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        named = {name: value for name, value in sent.items() if value}
        with closing(http.client.HTTPConnection("127.0.0.1", self.scp.port, timeout=60)) as link:
            link.request("POST", path, body, named)
            answer = link.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if content else {}, answer.headers

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.scp.port), timeout=60)


def image(uid: str, study: str = "1.2", patient: str = "PAT1", **meta: str) -> bytes:
    """A chest radiograph as a Part 10 file."""
    named = {"sop_class": CR, "instance": uid, "syntax": EXPLICIT} | meta
    elements = {
        0x00080018: (b"UI", uid.encode()),
        0x0020000D: (b"UI", study.encode()),
        0x00100020: (b"LO", patient.encode()),
    }
    head = file_head(named["sop_class"], named["instance"], named["syntax"])
    return head + chest(dict(elements))


def multipart(contents: Sequence[bytes], media: str = "application/dicom") -> bytes:
    """Join parts as PS3.18 8.6.1.2 does."""
    head = f"Content-Type: {media}\r\n\r\n" if media else "\r\n"
    joined = b"".join(
        b"--" + BOUNDARY.encode() + b"\r\n" + head.encode() + content + b"\r\n"
        for content in contents
    )
    return joined + b"--" + BOUNDARY.encode() + b"--\r\n"


def items(answer: dict[str, Any], tag: str) -> list[tuple[str, int]]:
    """Instance UID and reason of each item of a sequence of an answer."""
    reason = {"00081199": "00081196"}.get(tag, "00081197")
    return [
        (
            item.get("00081155", {"Value": [""]})["Value"][0],
            item.get(reason, {"Value": [0]})["Value"][0],
        )
        for item in answer.get(tag, {"Value": []})["Value"]
    ]
