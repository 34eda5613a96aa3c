"""What the statement says of storage commitment."""

from collections.abc import Iterator

from pydicom.uid import UID

from dicom_node.commands.conformance.document import Section, Table
from dicom_node.domain.exchange.commitment import (
    ASK_RETRY,
    EVENT_STATUSES,
    MOST_ASKED,
    PUSH_MODEL,
    REASONS,
    remedy,
)
from dicom_node.network.dimse.commitment import SYNTAXES
from dicom_node.network.dimse.commitment_scu import LINGER_S
from dicom_node.settings.settings import Settings

BEHAVIOUR = {
    "send again": "sent again, asked about in a new transaction",
    "ask again": "asked about in a new transaction",
    "give up": "a dead letter, shown to a person",
}


def overview_rows(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Give the service's row of the overview, when a peer is asked."""
    asked = any(peer.storage_commitment for peer in settings.peers)
    return [(UID(PUSH_MODEL).name, PUSH_MODEL, "yes", "no")] if asked else []


def commitment(settings: Settings) -> Iterator[Section]:
    """Describe the service (PS3.4 annex J), when a peer is asked."""
    peers = [peer for peer in settings.peers if peer.storage_commitment]
    if not peers:
        return
    syntaxes = ", ".join(UID(one).name for one in SYNTAXES)
    asked = ((peer.name, peer.ae_title, f"{peer.commit_timeout_s:g} s") for peer in peers)
    reasons = (
        (f"{code:04X}", words, BEHAVIOUR[remedy(code, 1)]) for code, words in REASONS.items()
    )
    yield Section(
        "Storage commitment",
        (
            f"{UID(PUSH_MODEL).name} ({PUSH_MODEL}), {syntaxes}; role SCU. N-ACTION lists the "
            "results that the peer took, of one study or of several; each request has a "
            f"Transaction UID of its own. The association is kept open for {LINGER_S:g} s for the "
            "N-EVENT-REPORT. One that comes later is taken on an association of the peer's, "
            "where the role of SCP is granted to it by role selection, or assumed without.",
            Table(("Peer", "AE title", "Asked again after"), tuple(asked), "Peers that are asked"),
            "Results are kept until they are committed. The pause is doubled each time; after "
            f"{MOST_ASKED} requests that were taken, or {ASK_RETRY.attempts} in a row that were "
            "not, the result becomes a dead letter.",
            Table(
                ("Failure reason", "Meaning", "Behaviour"),
                (*reasons, ("any other", "not in the standard", BEHAVIOUR[remedy(0, 1)])),
                "Results that the peer does not commit to",
            ),
            Table(
                ("Status", "Meaning"),
                tuple((f"{code:04X}", words) for code, words in EVENT_STATUSES.items()),
                "Answers to N-EVENT-REPORT",
            ),
        ),
    )
