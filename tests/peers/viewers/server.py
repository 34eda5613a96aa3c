"""Serve a viewer and Orthanc's DICOMweb from one origin on loopback."""

import json
import threading
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

CONFIGURATION = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "orthanc",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "orthanc",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "wadoUriRoot": "/dicom-web",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}
KEPT = ("content-type", "content-length")
ASKED = ("accept", "host")


class ViewerServer:
    """A loopback server of `dist`; /dicom-web/ and /instances/ come from Orthanc."""

    def __init__(self, dist: Path, orthanc_port: int) -> None:
        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *connection: object) -> None:
                super().__init__(*connection, directory=str(dist))  # type: ignore[arg-type]  # the base's own three

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.startswith("/dicom-web/"):
                    self._pass_on()
                elif path == "/app-config.js":
                    written = f"window.config = {json.dumps(CONFIGURATION)};"
                    self._answer(200, written.encode(), {"content-type": "text/javascript"})
                else:
                    if not (dist / path.lstrip("/")).is_file():
                        self.path = "/index.html"  # OHIF's router reads the address itself
                    super().do_GET()

            def _pass_on(self) -> None:
                # with our own Host, so that Orthanc's links to bulk data lead here
                asked = {name: self.headers[name] for name in ASKED if name in self.headers}
                with closing(HTTPConnection("127.0.0.1", orthanc_port, timeout=180)) as peer:
                    peer.request("GET", self.path, headers=asked)
                    answer = peer.getresponse()
                    headers = {one: answer.headers[one] for one in KEPT if one in answer.headers}
                    body = answer.read()
                with suppress(ConnectionError):  # a page that was left
                    self._answer(answer.status, body, headers)

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in (headers | {"content-length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def end_headers(self) -> None:
                # OHIF's workers share memory, which a page may only in isolation
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
                super().end_headers()

            def log_message(self, *said: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._server.shutdown()
        self._server.server_close()
