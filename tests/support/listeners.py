"""Independent receivers for tests: HL7, DCMTK's storescp, Orthanc."""

import json
import os
import secrets
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_S = 60.0
RELAY = Path(__file__).with_name("relay.py")


def until(met: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    """Wait for a condition; TimeoutError names what did not come."""
    give_up_at = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what} did not come within {timeout_s} s")
        time.sleep(0.01)


def free_port() -> int:
    """A loopback port that nobody has, and that no outgoing connection is given meanwhile.

    Those get the numbers from 32768 (Linux's ip_local_port_range).
    """
    while True:
        port = 10_000 + secrets.randbelow(22_768)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


class HL7Listener:
    """A receiver of HL7 over MLLP that answers as scripted.

    `answers` are taken one by one, the last again and again: an acknowledgement
    code (AA, AE, AR, CA, ...), "wrong id" (AA for another message), "late" (an
    answer to another message, then the right one), "silence", "close" (after
    receipt), "slow" (byte by byte), "split" (in two parts), "no cr" (ends with 0x1C
    alone), or bytes to send as they are. `messages` holds what came, unframed;
    the time of each receipt is in `received_at` (time.monotonic).
    """

    def __init__(self, *answers: str | bytes, text: str = "") -> None:
        self.answers = list(answers or ("AA",))
        self.text = text
        self.messages: list[bytes] = []
        self.received_at: list[float] = []
        self.connections = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        listener = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                listener._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host, self.port = "127.0.0.1", int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int = 1, timeout_s: float = START_S) -> list[bytes]:
        """Wait until so many messages have come and give them all."""
        until(lambda: len(self.messages) >= count, f"HL7 message number {count}", timeout_s)
        return self.messages

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.connections += 1
        received = b""
        while not self._closing.is_set():
            part = connection.recv(4096)
            if not part:
                return
            received += part
            while b"\x1c\r" in received:
                block, _, received = received.partition(b"\x1c\r")
                assert block[:1] == b"\x0b", "a block must start with 0x0B"
                if not self._answer(connection, block[1:]):
                    return

    def _answer(self, connection: socket.socket, message: bytes) -> bool:
        with self._lock:
            self.messages.append(message)
            self.received_at.append(time.monotonic())
            answer = self.answers[min(len(self.messages), len(self.answers)) - 1]
        if isinstance(answer, bytes):
            connection.sendall(answer)
            return True
        if answer == "close":
            return False
        if answer == "silence":
            self._closing.wait()
            return False
        for part, pause_s in self._parts(answer, message):
            connection.sendall(part)
            if self._closing.wait(pause_s):
                return False
        return True

    def _parts(self, answer: str, message: bytes) -> list[tuple[bytes, float]]:
        code = answer if len(answer) == 2 else "AA"
        reply = self._acknowledge(message, code)
        other = self._acknowledge(message, code, control_id="SOMEBODY-ELSE")
        if answer == "wrong id":
            return [(other, 0)]
        if answer == "late":
            return [(other, 0.05), (reply, 0)]
        if answer == "slow":
            return [(reply[n : n + 1], 0.002) for n in range(len(reply))]
        if answer == "split":
            half = len(reply) // 2
            return [(reply[:half], 0.05), (reply[half:], 0)]
        return [(reply.removesuffix(b"\r") if answer == "no cr" else reply, 0)]

    def _acknowledge(self, message: bytes, code: str, control_id: str = "") -> bytes:
        header = message.split(b"\r")[0].decode("latin-1").split("|")
        sender, facility, receiver, place = header[2:6]
        lines = [
            f"MSH|^~\\&|{receiver}|{place}|{sender}|{facility}|20261121||ACK^R01^ACK|A1|P|2.5.1",
            f"MSA|{code}|{control_id or header[9]}" + (f"|{self.text}" if self.text else ""),
        ]
        return b"\x0b" + "".join(f"{line}\r" for line in lines).encode() + b"\x1c\r"


class _Started:
    """A program that a test started, and ends by its own process id."""

    process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        _end(getattr(self, "process", None))


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class Storescp(_Started):
    """DCMTK's storescp on an ephemeral port; stores below `folder`."""

    def __init__(self, folder: Path, *options: str, ae_title: str = "STORESCP") -> None:
        self.folder, self.options, self.ae_title = folder, options, ae_title
        self.host, self.port = "127.0.0.1", free_port()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder.parent / f"{self.folder.name}.log"
        command = ["storescp", "--aetitle", self.ae_title, "--output-directory", str(self.folder)]
        with output.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *self.options, str(self.port)],
                stdout=log,
                stderr=log,
                env={**os.environ, "TCP_NODELAY": "1"},
            )
        until(lambda: _listens(self.port) or self.process.poll() is not None, "storescp")
        if self.process.poll() is not None:
            raise RuntimeError(f"storescp ended by itself:\n{output.read_text(errors='replace')}")

    @property
    def files(self) -> list[Path]:
        """What was stored, in name order."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def _listens(port: int) -> bool:
    # the kernel's table, since a connection would cost storescp an association
    wanted = f"{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{wanted}") and row.split()[3] == "0A" for row in rows)


class Orthanc(_Started):
    """Orthanc in a network namespace of its own, reached through relays on loopback.

    Debian's Orthanc listens on all interfaces; in its namespace there is only `lo`.
    The relay inside accepts on sockets that were bound out here. `reaches` are
    loopback ports out here that Orthanc may call at 127.0.0.1 (name them in
    `modalities`: name -> (AE title, port)). `options` go into orthanc.json.
    """

    ae_title = "ORTHANC"
    host = "127.0.0.1"

    def __init__(
        self,
        *,
        dicom_web: bool = False,
        user: tuple[str, str] | None = None,
        modalities: Mapping[str, tuple[str, int]] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.dicom_web, self.user = dicom_web, user
        self.modalities = dict(modalities or {})
        self.options = dict(options or {})
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-"))
        self._outward: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._config()))
        ports = {port for _, port in self.modalities.values()}
        ways_out = {port: f"unix:{self.folder}/{port}" for port in ports}
        if ways_out:
            self._outward = _relay([], [f"{way}=tcp:{port}" for port, way in ways_out.items()])
        with (
            socket.create_server((self.host, 0)) as dicom,
            socket.create_server((self.host, 0)) as http,
        ):
            self.dicom_port, self.http_port = dicom.getsockname()[1], http.getsockname()[1]
            pairs = [f"fd:{dicom.fileno()}=tcp:4242", f"fd:{http.fileno()}=tcp:8042"]
            pairs += [f"tcp:{port}={way}" for port, way in ways_out.items()]
            namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "-r", "--net"]
            self.process = _relay(
                namespace,
                [*pairs, "--", "Orthanc", str(config)],
                inherited=(dicom.fileno(), http.fileno()),
                log=self.folder / "orthanc.log",
            )
        until(self._answers, "Orthanc")

    def stop(self) -> None:
        super().stop()
        _end(self._outward)
        shutil.rmtree(self.folder, ignore_errors=True)

    def rest(self, path: str, body: object = None, method: str | None = None) -> Any:  # noqa: ANN401 - JSON
        """Ask the REST interface; a body makes it a POST; gives parsed JSON."""
        sent = None if body is None else json.dumps(body).encode()
        return json.loads(self.content(path, sent, method))

    def content(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        """Ask the REST interface for bytes; a body makes it a POST."""
        request = urllib.request.Request(
            f"http://{self.host}:{self.http_port}{path}", body, method=method
        )
        with self._opener().open(request, timeout=60) as response:
            answer: bytes = response.read()
        return answer

    def study(self, study_uid: str) -> list[dict[str, Any]]:
        """Give all tags, by keyword, of each instance of a study."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
        found = self.rest("/tools/find", query)
        return [self.rest(f"/instances/{one}/simplified-tags") for one in found]

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.user is not None:
            known = urllib.request.HTTPPasswordMgrWithPriorAuth()
            known.add_password(None, f"http://{self.host}:{self.http_port}/", *self.user, True)
            handlers.append(urllib.request.HTTPBasicAuthHandler(known))
        return urllib.request.build_opener(*handlers)

    def _answers(self) -> bool:
        log = (self.folder / "orthanc.log").read_text(errors="replace")
        if self.process.poll() is not None:
            raise RuntimeError(f"Orthanc ended by itself:\n{log[-2000:]}")
        # its web server answers before it listens for DICOM
        return "Orthanc has started" in log

    def _config(self) -> dict[str, Any]:
        plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
        return {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomPort": 4242,
            "HttpPort": 8042,
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": self.user is not None,
            "RegisteredUsers": {} if self.user is None else dict([self.user]),
            "DicomModalities": {
                name: [ae_title, "127.0.0.1", port]
                for name, (ae_title, port) in self.modalities.items()
            },
            "Plugins": [plugin] if self.dicom_web else [],
            "SaveJobs": False,
            **self.options,
        }


def _relay(
    prefix: Sequence[str],
    arguments: Sequence[str],
    inherited: tuple[int, ...] = (),
    log: Path | None = None,
) -> subprocess.Popen[bytes]:
    with (log or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(
            [*prefix, sys.executable, str(RELAY), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            pass_fds=inherited,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        reason = log.read_text(errors="replace") if log else ""
        _end(process)
        raise RuntimeError(f"no relay: {' '.join(prefix)} {reason}")
    return process


class SecureHL7Listener(HL7Listener):
    """A receiver that speaks TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.context = context

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self.context.wrap_socket(connection, server_side=True) as secured:
                super()._serve(secured)
        except OSError:
            return  # the caller did not want it
