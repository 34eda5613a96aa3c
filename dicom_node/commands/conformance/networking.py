"""DICOM statement, section 3: networking (PS3.2 annex A.4)."""

from collections.abc import Iterator

from pydicom.uid import UID

from dicom_node.commands.conformance import facts
from dicom_node.commands.conformance.commitment import commitment, overview_rows
from dicom_node.commands.conformance.configuration import configuration, interfaces, limits
from dicom_node.commands.conformance.document import Section, Table
from dicom_node.commands.conformance.web import web
from dicom_node.domain.errors import TryAgain
from dicom_node.domain.reception import STORE_STATUSES
from dicom_node.domain.study import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from dicom_node.domain.work import DELIVERY_RETRY
from dicom_node.network.dimse.answers import FAILURES, REJECTIONS, judge_query
from dicom_node.network.dimse.options import IMAGE_CLASSES, IMAGE_SYNTAXES, VERIFICATION, Timeouts
from dicom_node.network.dimse.query import QUERY_SYNTAXES, STUDY_ROOT_FIND
from dicom_node.network.dimse.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from dicom_node.network.dimse.scp import SERVED
from dicom_node.network.dimse.scu import proposed
from dicom_node.network.dimse.upper_layer.negotiation import OUR_REJECTIONS
from dicom_node.settings.settings import Settings

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
UNKNOWN_CALLERS = {
    "reject": "any other caller is rejected",
    "accept": "any other caller is served too",
    "learn": "any other caller is rejected, and remembered for a person to approve",
}


def named(uid: str) -> str:
    """Give a UID's name in PS3.6."""
    return UID(uid).name


def overview(settings: Settings) -> Table:
    """List every service with the node's role in it (PS3.2 A.1)."""
    received = list(SERVED)
    sent = [VERIFICATION, *(made.form.sop_class_uid for made in facts.results(settings))]
    rows = [
        (named(uid), uid, "yes" if uid in sent else "no", "yes" if uid in received else "no")
        for uid in dict.fromkeys((*received, *sent))
    ]
    asked = (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE)
    rows += [(named(uid), uid, "yes", "no") for uid in asked]
    rows += overview_rows(settings)
    head = ("SOP class", "UID", "User (SCU)", "Provider (SCP)")
    return Table(head, tuple(rows), "Network services")


def networking(settings: Settings) -> Section:
    """Describe the application entity and its associations."""
    return Section(
        "Networking",
        (
            Section("Implementation model", (_flow(), _functions())),
            Section(
                f"AE specification: {settings.node.ae_title}",
                (
                    "One application entity serves and opens associations.",
                    _policies(settings),
                    _initiation(settings),
                    _acceptance(settings),
                    *commitment(settings),
                ),
            ),
            web(settings),
            interfaces(settings),
            configuration(settings),
            limits(settings),
        ),
    )


def _flow() -> str:
    return (
        "A modality or the PACS sends radiographs by C-STORE. Each is stored durably before it "
        "is answered, read by the pipelines that the configuration's routes name, and its results "
        "are sent to the destinations of these routes by C-STORE or STOW-RS. An HL7 message may "
        "tell of urgent findings; see the IHE statement. Receiving never waits for reading."
    )


def _functions() -> str:
    return (
        "The AE answers C-ECHO and C-STORE as a provider. As a user it sends C-STORE with results, "
        "N-ACTION where a peer is asked for storage commitment, "
        "C-ECHO from the command 'check', and C-FIND, C-GET or C-MOVE from the commands "
        "'backfill' and 'reconcile' and from the nightly comparison ([reconcile])."
    )


def _policies(settings: Settings) -> Section:
    rows = (
        ("Application context name", APPLICATION_CONTEXT),
        ("Implementation class UID", IMPLEMENTATION_CLASS_UID),
        ("Implementation version name", IMPLEMENTATION_VERSION),
        ("Largest PDU that is taken in", f"{settings.receive.max_pdu} bytes"),
        ("Associations as acceptor at a time", str(settings.receive.max_associations)),
        ("Associations as initiator at a time", "one per destination"),
        ("Asynchronous operations", "not supported: one operation at a time"),
        ("SOP class extended negotiation", "not supported"),
        ("User identity negotiation", "not supported"),
        ("SCP/SCU role selection", "as initiator for C-GET, as acceptor for storage commitment"),
    )
    return Section("Association policies", (Table(("Item", "Value"), rows, "Policies"),))


def _initiation(settings: Settings) -> Section:
    limits = Timeouts()
    retry = DELIVERY_RETRY
    return Section(
        "Association initiation",
        (
            "Results of one study to one destination go over one association. Only what is to be "
            "sent is proposed, one transfer syntax in a presentation context. What the peer does "
            "not accept is replaced by a plainer object of the same content where there is one.",
            *(
                _sent(settings, peer.name)
                for peer in settings.peers
                if _receives(settings, peer.name)
            ),
            _asked(),
            Table(
                ("Status", "Meaning", "Behaviour"),
                _store_rows(),
                "Answers to C-STORE",
            ),
            Table(
                ("Status", "Meaning", "Behaviour"),
                tuple(_query_rows()),
                "Failures of C-FIND, C-GET and C-MOVE",
            ),
            Table(
                ("Result/source/reason", "Meaning"),
                tuple(("/".join(map(str, key)), words) for key, words in REJECTIONS.items()),
                "Rejected associations: the delivery is repeated in any case",
            ),
            f"Repeats: first after {retry.first_s:g} s, the pause doubled each time up to "
            f"{retry.longest_s:g} s, {retry.attempts} attempts in all.",
            f"Time-outs: connection {limits.connect_s:g} s, association {limits.acse_s:g} s, "
            f"response {limits.dimse_s:g} s and the time that the object's size needs.",
        ),
    )


def _receives(settings: Settings, name: str) -> bool:
    return any(name in route.send_to for route in settings.routes)


def _sent(settings: Settings, name: str) -> Table:
    by_class = {made.form.sop_class_uid: made for made in facts.results(settings)}
    rows = [
        (
            f"{named(form.sop_class_uid)} ({form})",
            form.sop_class_uid,
            "; ".join(
                f"{named(syntax)} ({syntax})"
                for syntax in proposed(by_class[form.sop_class_uid].syntax_uid)
            ),
        )
        for form in facts.sent_to(settings, name)
    ]
    head = ("SOP class (output)", "UID", "Transfer syntaxes, the preferred first")
    return Table(head, tuple(rows), f"Proposed to peer {name!r}, role SCU")


def _asked() -> Table:
    rows = [
        (named(uid), uid, ", ".join(named(str(one)) for one in QUERY_SYNTAXES), "SCU")
        for uid in (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE)
    ]
    rows += [
        (named(uid), uid, f"the {len(IMAGE_SYNTAXES)} of association acceptance", "SCP (C-GET)")
        for uid in IMAGE_CLASSES
    ]
    head = ("SOP class", "UID", "Transfer syntaxes", "Role")
    return Table(head, tuple(rows), "Proposed to a peer that images are fetched from")


def _store_rows() -> tuple[tuple[str, str, str], ...]:
    judged = [
        (code, fate.words, fate.behaviour)
        for code, fate in facts.store_fates()
        if fate != facts.store_fates()[-1][1]
    ]
    other = facts.store_fates()[-1][1]
    return (*judged, ("any other", other.words, other.behaviour))


def _query_rows() -> Iterator[tuple[str, str, str]]:
    for status, words in FAILURES.items():
        again = isinstance(judge_query("C-FIND", status), TryAgain)
        yield f"{status:04X}", words, "asked again" if again else "given up, shown to a person"


def _acceptance(settings: Settings) -> Section:
    senders = [peer for peer in settings.peers if peer.may_send]
    callers = tuple((peer.ae_title, peer.host or "any address", peer.name) for peer in senders)
    rule = UNKNOWN_CALLERS[settings.receive.unknown_callers]
    return Section(
        "Association acceptance",
        (
            f"The called AE title must be {settings.node.ae_title}; {rule}.",
            Table(("Calling AE title", "From", "Peer"), callers, "Callers that are served"),
            Table(
                ("Abstract syntax", "UID", "Transfer syntaxes"),
                tuple(
                    (named(uid), uid, _listed(one.transfer_syntaxes)) for uid, one in SERVED.items()
                ),
                "Presentation contexts that are accepted, role SCP",
            ),
            "Of the transfer syntaxes proposed in one context the first of this list is taken: "
            "native before compressed, lossless before lossy.",
            Table(
                ("Transfer syntax", "UID"),
                tuple((named(str(uid)), str(uid)) for uid in IMAGE_SYNTAXES),
                "Order of preference for images",
            ),
            Table(
                ("Result/source/reason", "When"),
                tuple((one.code, one.words) for one in OUR_REJECTIONS),
                "Rejections",
            ),
            Table(
                ("Status", "Meaning"),
                tuple((f"{code:04X}", words) for code, words in STORE_STATUSES.items()),
                "Answers to C-STORE",
            ),
            "Storage is level 2 (full): the data set is kept bit for bit as received, private "
            "attributes too. The status tells of receipt and safe storage, never of analysis. "
            "Images are kept for "
            f"{settings.retention.instances_days:g} days, results for "
            f"{settings.retention.results_days:g} days; the node is no archive.",
        ),
    )


def _listed(syntaxes: tuple[str, ...]) -> str:
    if syntaxes == tuple(str(one) for one in IMAGE_SYNTAXES):
        return "all of the table below"
    return ", ".join(named(uid) for uid in syntaxes)
