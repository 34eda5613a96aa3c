"""The node takes images by STOW-RS: what it stores, answers and refuses."""

import http.client
import socket
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.reception import Caller, StoreRequest
from dicom_node.domain.work import Recorded
from dicom_node.flow.receive import Reception, receive
from dicom_node.formats.dicom.file_meta import file_head
from dicom_node.formats.dicom.header import describe_file
from dicom_node.network.dicomweb import scp
from dicom_node.network.dicomweb.scp import StowSCP
from dicom_node.settings.settings import load_settings
from dicom_node.storage.archive.files import FileArchive
from dicom_node.storage.queue.ledger import SqlLedger
from tests.support.raw_scu import CR, EXPLICIT
from tests.support.stow_callers import BOUNDARY, TYPE, image, items, multipart
from tests.support.stow_node import Start

STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def test_images_are_stored_bit_for_bit_and_queued(start: Start) -> None:
    node = start()
    sent = [image("1.2.3"), image("1.2.4")]
    status, answer, headers = node.post(multipart(sent))
    assert (status, headers["Content-Type"]) == (200, "application/dicom+json")
    assert items(answer, STORED) == [("1.2.3", 0), ("1.2.4", 0)]
    assert FAILED not in answer
    assert sorted(node.stored()) == sorted(sent)
    assert {row.calling_ae for row in node.rows()} == {"XRAY1"}
    assert [row.pipeline for row in node.rows("jobs")] == ["pneumothorax"] * 2


def test_sent_again_it_is_one_image_and_changed_it_is_a_warning(start: Start) -> None:
    node = start()
    assert node.post(multipart([image("1.2.3")]))[0] == 200
    assert node.post(multipart([image("1.2.3")]))[0] == 200
    status, answer, _ = node.post(multipart([image("1.2.3", patient="OTHER")]))
    assert (status, items(answer, STORED)) == (202, [("1.2.3", 0xB007)])
    assert node.stored() == [image("1.2.3")]


def test_by_c_store_it_is_the_same_image(start: Start) -> None:
    node = start()
    assert node.post(multipart([image("1.2.3")]))[0] == 200
    archive = FileArchive(node.folder / "var" / "archive")
    reception = Reception(archive, SqlLedger(node.engine), describe_file, (), 0)
    head = file_head(CR, "1.2.3", EXPLICIT)
    content = image("1.2.3").removeprefix(head)
    caller = Caller("OTHER", "CXRAI", "10.0.0.1")
    request = StoreRequest(caller, CR, CR, "1.2.3", EXPLICIT, head, content)
    assert receive(request, reception, time.time()) is Recorded.SAME


@pytest.mark.data
def test_real_radiographs_arrive_bit_for_bit(start: Start, shared: Path) -> None:
    node = start()
    paths = sorted((shared / "dicom").glob("siim_*.dcm"))[:6]
    sent = [path.read_bytes() for path in paths]
    assert [node.post(multipart([one]))[0] for one in sent] == [200] * 6
    kept = {row.sop_instance_uid: row.file_key for row in node.rows()}
    for path in paths:
        ds = dcmread(path)
        stored = dcmread(node.folder / "var" / "archive" / kept[ds.SOPInstanceUID])
        assert stored == ds
        assert stored.PixelData == ds.PixelData


def test_each_part_is_answered_by_itself(start: Start) -> None:
    node = start()
    head = file_head(CR, "1.2.9", EXPLICIT)
    sent = [
        image("1.2.3"),
        image("1.2.4", instance="1.2.5"),
        image("1.2.6", sop_class="1.2.840.10008.5.1.4.1.1.2"),
        image("1.2.7", syntax="1.2.840.10008.1.2.4.100"),
        head + b"garbage that is no data set",
        b"no DICOM at all",
        image("1.2.8"),
    ]
    status, answer, _ = node.post(multipart(sent))
    assert status == 202
    assert items(answer, STORED) == [("1.2.3", 0), ("1.2.8", 0)]
    assert items(answer, FAILED) == [
        ("1.2.5", 0xA900),
        ("1.2.6", 0x0122),
        ("1.2.7", 0xC122),
        ("1.2.9", 0xC000),
    ]
    assert items(answer, OTHERS) == [("", 0xC000)]
    assert len(node.rows()) == 2


def test_an_image_of_another_study_is_refused(start: Start) -> None:
    node = start()
    status, answer, _ = node.post(multipart([image("1.2.3", study="1.7")]), "/studies/1.8")
    assert (status, items(answer, FAILED)) == (409, [("1.2.3", 0xA900)])
    assert node.post(multipart([image("1.2.3", study="1.7")]), "/studies/1.7/")[0] == 200


def test_a_full_disk_asks_to_repeat(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE__RECEIVE__MIN_FREE_GB", "1000000")
    status, answer, headers = start().post(multipart([image("1.2.3")]))
    assert (status, items(answer, FAILED)) == (503, [("1.2.3", 0xA700)])
    assert headers["Retry-After"]


@pytest.mark.parametrize(
    ("status", "path", "headers"),
    [
        (404, "/", {}),
        (404, "/studies/1.2/series", {}),
        (404, "/studies/patient-name", {}),
        (415, "/studies", {"Content_Type": "application/dicom"}),
        (415, "/studies", {"Content_Type": ""}),
        (415, "/studies", {"Content_Type": TYPE.replace("/dicom", "/dicom+json")}),
        (415, "/studies", {"Content_Encoding": "gzip"}),
        (406, "/studies", {"Accept": "application/dicom+xml"}),
        (400, "/studies", {"Content_Type": 'multipart/related; type="application/dicom"'}),
        (400, "/studies", {"Content_Type": TYPE.replace(BOUNDARY, "other")}),
        (200, "/studies", {"Accept": ""}),
        (200, "/studies", {"Accept": "text/html, */*;q=0.1"}),
        (200, "/studies", {"Content_Type": f"multipart/related; boundary={BOUNDARY}"}),
        (200, "/studies?x=1", {}),
    ],
)
def test_requests_and_their_statuses(
    start: Start, status: int, path: str, headers: dict[str, str]
) -> None:
    node = start()
    assert node.post(multipart([image("1.2.3")]), path, **headers)[0] == status
    assert len(node.rows()) == (status == 200)


def test_too_much_is_refused_before_it_is_read(start: Start) -> None:
    node = start()
    assert node.post(b"x" * ((3 << 20) + 1))[0] == 413
    large = image("1.2.4") + bytes(1 << 20)
    assert node.post(multipart([large]))[0] == 413
    status, answer, _ = node.post(multipart([image("1.2.3"), large]))
    assert (status, items(answer, STORED), items(answer, OTHERS)) == (
        202,
        [("1.2.3", 0)],
        [("", 0xA700)],
    )


def test_a_cut_request_keeps_what_was_whole(start: Start) -> None:
    node = start()
    body = multipart([image("1.2.3"), image("1.2.4")])[:-1000]
    status, answer, _ = node.post(body)
    assert (status, items(answer, STORED), items(answer, OTHERS)) == (
        202,
        [("1.2.3", 0)],
        [("", 0xC000)],
    )


def raw(node_socket: socket.socket, head: str, body: bytes = b"") -> bytes:
    node_socket.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
    received = b""
    while part := node_socket.recv(65536):
        received += part
    return received


def test_chunks_and_100_continue(start: Start) -> None:
    node = start()
    body = multipart([image("1.2.3")])
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    coded = b"".join(b"%x;e=1\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\nT: 1\r\n\r\n"
    head = f"POST /studies HTTP/1.1\nHost: x\nContent-Type: {TYPE}\nConnection: close\n"
    with node.connect() as link:
        answer = raw(link, head + "Transfer-Encoding: chunked\nExpect: 100-continue\n", coded)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert node.stored() == [image("1.2.3")]


@pytest.mark.parametrize(
    ("framing", "body", "status"),
    [
        ("Transfer-Encoding: chunked\nContent-Length: 3\n", b"", 400),
        ("Content-Length: 3\nContent-Length: 4\n", b"", 400),
        ("Transfer-Encoding: gzip, chunked\n", b"", 400),
        ("Content-Length: -1\n", b"", 400),
        ("Content-Length: 1e3\n", b"", 400),
        ("", b"", 411),
        ("Transfer-Encoding: chunked\n", b"zz\r\n", 400),
        ("Transfer-Encoding: chunked\n", b"-5\r\n", 400),
        ("Transfer-Encoding: chunked\n", b"2\r\nabc\r\n", 400),
        ("Transfer-Encoding: chunked\n", b"f" * 2000, 400),
        ("Content-Length: 4000000000000000\n", b"", 400),
        ("Content-Length: 4000000000\n", b"", 413),
    ],
)
def test_strange_framing(start: Start, framing: str, body: bytes, status: int) -> None:
    head = f"POST /studies HTTP/1.1\nHost: x\nContent-Type: {TYPE}\n{framing}"
    with start().connect() as link:
        link.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        link.shutdown(socket.SHUT_WR)
        assert link.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())


def test_other_methods(start: Start) -> None:
    with start().connect() as link:
        answer = raw(link, "GET /studies HTTP/1.1\nHost: x\nConnection: close\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: POST" in answer


def test_a_connection_serves_many_requests(start: Start) -> None:
    node = start()
    link = http.client.HTTPConnection("127.0.0.1", node.scp.port, timeout=60)
    link.connect()
    door = link.sock
    for uid in ("1.2.3", "1.2.4", "1.2.5"):
        link.request("POST", "/studies", multipart([image(uid)]), {"Content-Type": TYPE})
        answer = link.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (200, True)
    assert link.sock is door
    link.close()
    assert len(node.rows()) == 3


def test_slow_callers_are_left(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_S", "HEAD_S", "BODY_S"):
        monkeypatch.setattr(scp, name, 0.3)
    monkeypatch.setattr(scp, "LINGER_S", 0.1)
    node = start()
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\nContent-Length: 900\r\n"
    for said in (b"", head.encode(), head.encode() + b"\r\n--"):
        began = time.monotonic()
        with node.connect() as link:
            link.sendall(said)
            stop = threading.Event()

            def drip(link: socket.socket = link, stop: threading.Event = stop) -> None:
                while not stop.wait(0.1):  # a byte now and then is no life
                    link.sendall(b"X")

            dripping = threading.Thread(target=drip) if said else None
            try:
                if dripping:
                    dripping.start()
                answer = link.recv(65536)
            except ConnectionError:
                answer = b""
            finally:
                stop.set()
                if dripping:
                    dripping.join()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 20
    assert node.post(multipart([image("1.2.3")]))[0] == 200


def test_more_requests_than_it_takes_are_asked_to_repeat(start: Start) -> None:
    node = start()
    head = f"POST /studies HTTP/1.1\nHost: x\nContent-Type: {TYPE}\nContent-Length: 9000\n"
    links = [node.connect() for _ in range(2)]
    for link in links:
        link.sendall(head.replace("\n", "\r\n").encode() + b"\r\n--")
    deadline = time.monotonic() + 10
    while (status := node.post(multipart([image("1.2.3")]))[0]) == 200:
        assert time.monotonic() < deadline
    assert status == 503
    for link in links:
        link.close()
    while node.post(multipart([image("1.2.3")]))[0] != 200:
        assert time.monotonic() < deadline


def test_a_stop_lets_a_request_finish(start: Start) -> None:
    node = start()
    body = multipart([image("1.2.3")])
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\n"
    with node.connect() as link:
        link.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert link.recv(100).startswith(b"HTTP/1.1 100 ")  # it is under way
        stopping = threading.Thread(target=node.scp.stop, args=(10,))
        stopping.start()
        link.sendall(body)
        assert link.recv(65536).startswith(b"HTTP/1.1 200 ")
        stopping.join()
    assert node.stored() == [image("1.2.3")]
    with pytest.raises(ConnectionError):
        node.connect()


def test_a_taken_port_is_a_bad_setting(start: Start) -> None:
    node = start()
    with pytest.raises(BadSettings, match="cannot listen"):
        StowSCP("127.0.0.1", node.scp.port, node.scp._service)


def test_the_keys_are_read(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        '[dicomweb]\nport = 8081\ntoken_file = "in.token"\n'
        '[[stow]]\nname = "cloud"\nurl = "https://h/x"\ntoken_file = "out.token"\n'
        '[[routes]]\nname = "r"\nsend_to = ["cloud"]\n'
    )
    settings = load_settings(config)
    assert settings.dicomweb.token_file == str(tmp_path / "in.token")
    assert settings.stow[0].token_file == str(tmp_path / "out.token")
    assert settings.stow[0].ca_file == ""
    config.write_text(config.read_text() + '[[hl7]]\nname = "cloud"\nhost = "h"\nport = 1\n')
    with pytest.raises(BadSettings, match="'cloud' is used twice"):
        load_settings(config)
    config.write_text('[[stow]]\nname = "cloud"\nurl = "http://h/x"\ntoken_env = "T"\n')
    with pytest.raises(BadSettings, match="https"):
        load_settings(config)
