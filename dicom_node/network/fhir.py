"""Sending to a FHIR server: one transaction per message (R4 3.1.0.11)."""

import json
from typing import Any, NoReturn

from dicom_node.domain.errors import GiveUp, NodeError, TryAgain
from dicom_node.domain.exchange.destinations import FhirDestination
from dicom_node.domain.pipeline import Archive, Check
from dicom_node.domain.work import Acknowledgement, DeliveryBatch, Undelivered
from dicom_node.network.http.session import content_of, in_words, open_session

MEDIA_TYPE = "application/fhir+json"
LARGEST_ANSWER = 4 << 20
LONGEST_NOTE = 400
PASSING = (401, 403, 408, 429)
"""Refusals that a person or time puts right without the message changing."""


def send(
    batch: DeliveryBatch, archive: Archive, to: FhirDestination
) -> tuple[Acknowledgement | Undelivered, ...]:
    """Deliver each message of a batch: the sender for one FHIR server."""
    outcomes: list[Acknowledgement | Undelivered] = []
    for delivery in batch.deliveries:
        try:
            words = post(archive.read(delivery.file.key), to)
        except NodeError as error:
            outcomes.append(Undelivered(delivery.id, error))
        else:
            outcomes.append(Acknowledgement(delivery.id, words))
    return tuple(outcomes)


def post(content: bytes, to: FhirDestination) -> str:
    """Send one transaction and say what became of it.

    Raises GiveUp for a refusal that the same message meets again, TryAgain for
    anything else that is not the answer to a transaction.
    """
    return judge_answer(*_ask("POST", to.url, to, content))


def judge_answer(status: int, body: bytes) -> str:
    """Judge an answer; the server's own words, which may name a patient, become a note."""
    if 200 <= status < 300:
        return _stored(status, body)
    error: NodeError
    if 300 <= status < 400:
        error = GiveUp(f"HTTP {status}: the server is elsewhere; correct its url")
    elif status >= 500 or status in PASSING:
        error = TryAgain(f"HTTP {status}: the server does not take it now")
    else:
        error = GiveUp(f"HTTP {status}: the server refuses the message")
    said = _outcome(body)
    if said:
        error.add_note(said)
    raise error


def probe(to: FhirDestination) -> Check:
    """Ask the server for its capabilities; nothing is sent."""
    try:
        status, body = _ask("GET", f"{to.url.rstrip('/')}/metadata", to)
    except NodeError as error:
        return Check(to.name, False, str(error))
    version = _json(body).get("fhirVersion")
    if status != 200 or not isinstance(version, str):
        return Check(to.name, False, f"{to.url}/metadata answers HTTP {status}, not as FHIR")
    ok = version.startswith("4.")
    words = "" if ok else "; R4 (4.0) is needed"
    return Check(to.name, ok, f"{to.url} speaks FHIR {version[:20]}{words}")


def _ask(method: str, url: str, to: FhirDestination, content: bytes = b"") -> tuple[int, bytes]:
    """Give status and content of an answer; raises TryAgain when there is none in time."""
    headers = {"Accept": MEDIA_TYPE}
    if content:
        headers |= {"Content-Type": MEDIA_TYPE, "Prefer": "return=minimal"}
    try:
        with (
            open_session(to) as session,
            session.request(
                method,
                url,
                data=content or None,
                headers=headers,
                timeout=to.timeout_s,
                allow_redirects=False,  # a POST would become a GET
                stream=True,
            ) as answer,
        ):
            return answer.status_code, content_of(answer, LARGEST_ANSWER, to.timeout_s)
    except OSError as error:  # all of requests' own are such
        raise TryAgain(f"FHIR server {url}: {in_words(error)}") from error


def _stored(status: int, body: bytes) -> str:
    """Count what a transaction made; each entry has a status of its own."""
    answer = _json(body)
    if answer.get("resourceType") != "Bundle" or answer.get("type") != "transaction-response":
        _not_fhir(status)
    made = known = 0
    entries = answer.get("entry")
    for entry in entries if isinstance(entries, list) else []:
        said = entry.get("response") if isinstance(entry, dict) else None
        code = str(said.get("status", ""))[:3] if isinstance(said, dict) else ""
        if code not in ("200", "201"):
            _not_fhir(status)
        made += code == "201"
        known += code == "200"
    if not made + known:
        _not_fhir(status)
    return f"HTTP {status}: {made} created, {known} known already"


def _not_fhir(status: int) -> NoReturn:
    """Take nothing for granted: a proxy's page for a login has status 200 too."""
    raise TryAgain(f"HTTP {status}, but not the answer to a FHIR transaction")


def _outcome(body: bytes) -> str:
    """Give the texts of an OperationOutcome (R4 3.1.0.4)."""
    issues = _json(body).get("issue")
    said: list[object] = []
    for issue in issues if isinstance(issues, list) else []:
        if isinstance(issue, dict):
            details = issue.get("details")
            said += [details.get("text")] if isinstance(details, dict) else []
            said.append(issue.get("diagnostics"))
    return " | ".join(text for text in said if isinstance(text, str))[:LONGEST_NOTE]


def _json(body: bytes) -> dict[str, Any]:
    """Give a JSON object; an empty one for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
