"""A small FHIR R4 server: transactions of conditional creates and updates, validated."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from dicom_node.domain.exchange.destinations import FhirDestination

Answer = tuple[int, bytes]
FHIR = "application/fhir+json"


@dataclass
class FhirServer:
    """Stores what it is sent; `answers` go before, one by one, each instead of storing.

    "hang" answers nothing, "after" stores and then hangs up without an answer.
    """

    answers: list[Answer | str] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    version: str = "4.0.1"

    def __enter__(self) -> Self:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                capabilities = {"resourceType": "CapabilityStatement", "fhirVersion": ours.version}
                self._send((200, json.dumps(capabilities).encode()))

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                ours.headers.append(dict(self.headers))
                special = ours.answers.pop(0) if ours.answers else ""
                if special == "hang":
                    time.sleep(1.5)
                elif isinstance(special, tuple):
                    self._send(special)
                elif self.path == "/fhir" and self.headers["Content-Type"] == FHIR:
                    answer = ours.transaction(content)
                    if special != "after":
                        self._send(answer)
                else:
                    self._send((404, b""))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer[0])
                if 300 <= answer[0] < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def destination(self, **more: Any) -> FhirDestination:  # noqa: ANN401 - keys of the dataclass
        where = f"http://127.0.0.1:{self._http.server_address[1]}/fhir"
        return FhirDestination("emr", where, **({"timeout_s": 5.0} | more))

    def transaction(self, content: bytes) -> Answer:
        """Do all of a transaction or nothing (R4 3.1.0.11.2)."""
        try:
            Bundle.model_validate_json(content)
        except ValueError as error:
            return 422, outcome(str(error))
        sent = json.loads(content)
        if (sent["resourceType"], sent["type"]) != ("Bundle", "transaction"):
            return 400, outcome("no transaction")
        known: dict[str, str] = {}
        said = []
        for entry in sent["entry"]:
            place, status = self._written(entry["resource"], entry["request"])
            known[entry["fullUrl"]] = place
            said.append({"response": {"status": status, "location": place}})
        for resource in self.resources:
            for reference in resource.get("result", []):
                reference["reference"] = known.get(reference["reference"], reference["reference"])
        answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": said}
        return 200, json.dumps(answer).encode()

    def _written(self, resource: dict[str, Any], request: dict[str, str]) -> tuple[str, str]:
        """Create what is not there yet; PUT replaces what is (R4 3.1.0.4.3, 3.1.0.5.3)."""
        update = request["method"] == "PUT"
        query = request["url"].partition("?")[2] if update else request["ifNoneExist"]
        for found in self.resources:
            known = [f"identifier={one['system']}|{one['value']}" for one in found["identifier"]]
            if query in known:
                if update:
                    number = found["id"]
                    found.clear()
                    found.update(resource, id=number)
                return f"{found['resourceType']}/{found['id']}", "200 OK"
        self.resources.append(resource | {"id": str(len(self.resources) + 1)})
        return f"{resource['resourceType']}/{len(self.resources)}", "201 Created"


def outcome(words: str) -> bytes:
    issue = {"severity": "error", "code": "invalid", "diagnostics": words}
    made = {"resourceType": "OperationOutcome", "issue": [issue]}
    return OperationOutcome.model_validate(made).model_dump_json().encode()
