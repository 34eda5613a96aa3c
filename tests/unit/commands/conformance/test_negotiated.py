"""What the statement lists is what the running node negotiates."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.presentation import build_context

from dicom_node.assembly import parts
from dicom_node.commands.conformance import facts
from dicom_node.domain.study import Peer
from dicom_node.domain.work import Recorded
from dicom_node.network.dimse.association import Target
from dicom_node.network.dimse.retrieve import GetOrigin, MoveOrigin
from dicom_node.network.dimse.scu import outgoing, store
from dicom_node.roles.receive import run as run_receive
from dicom_node.settings.settings import Settings
from tests.support.listeners import _listens, until
from tests.support.statements import Configure, dicom, lookup, table

MOST = 128
"""Presentation contexts of one association (PS3.8 9.3.2.2)."""
SYNTAXES = [str(uid) for uid in AllTransferSyntaxes]
VERIFICATION = "1.2.840.10008.1.1"
QUERIES = [f"1.2.840.10008.5.1.4.1.2.2.{kind}" for kind in (1, 2, 3)]
STORAGE = [str(one.abstract_syntax) for one in AllStoragePresentationContexts]
Pairs = set[tuple[str, str]]


@contextmanager
def running(settings: Settings) -> Iterator[int]:
    """Run the role `receive` as `dicom-node run` does; gives its port."""
    parts.open_parts(settings, migrate=True).close()
    stop = threading.Event()
    role = threading.Thread(target=run_receive, args=(settings, stop))
    role.start()
    try:
        until(lambda: _listens(settings.node.port), "the receiver")
        yield settings.node.port
    finally:
        stop.set()
        role.join(30)


def accepted(port: int, pairs: list[tuple[str, str]]) -> Pairs:
    """Propose each pair in a context of its own; gives what was accepted."""
    taken: Pairs = set()
    for start in range(0, len(pairs), MOST):
        part = pairs[start : start + MOST]
        assoc = AE("PROBE").associate(
            "127.0.0.1", port, [build_context(*pair) for pair in part], ae_title="CONFORM"
        )
        # without any context the association is useless and pynetdicom ends it itself
        taken |= {
            (str(one.abstract_syntax), str(one.transfer_syntax[0]))
            for one in assoc.accepted_contexts
        }
        if assoc.is_established:
            assoc.release()
    return taken


def listed(settings: Settings) -> Pairs:
    """Read the pairs out of the statement's acceptance tables."""
    document = dicom(settings)
    by_name = lookup(table(document, "Order of preference"))
    pairs: Pairs = set()
    for _, uid, said in table(document, "Presentation contexts that are accepted").rows:
        names = list(by_name) if said.startswith("all of") else said.split(", ")
        pairs |= {(uid, by_name[name]) for name in names}
    return pairs


def test_the_receiver_accepts_what_is_listed_and_nothing_else(configure: Configure) -> None:
    settings = configure()
    said = listed(settings)
    with running(settings) as port:
        classes = {uid for uid, _ in said}
        every = [(uid, syntax) for uid in sorted(classes) for syntax in SYNTAXES]
        assert accepted(port, every) == said
        # each other storage class once, in the syntaxes that any receiver must take
        others = [uid for uid in STORAGE if uid not in classes]
        assert len(others) > 100
        assert accepted(port, [(uid, "1.2.840.10008.1.2") for uid in others]) == set()
    assert {uid for uid, _ in said} > {VERIFICATION}


def test_the_preferred_syntax_is_the_first_of_the_list(configure: Configure) -> None:
    settings = configure()
    order = [uid for _, uid in table(dicom(settings), "Order of preference").rows]
    image = "1.2.840.10008.5.1.4.1.1.1"
    with running(settings) as port:
        for first in range(0, len(order) - 1, 3):
            offered = build_context(image, list(reversed(order[first:])))
            assoc = AE("PROBE").associate("127.0.0.1", port, [offered], ae_title="CONFORM")
            (context,) = assoc.accepted_contexts
            assert str(context.transfer_syntax[0]) == order[first]
            assoc.release()


def test_policies_are_what_the_receiver_says_of_itself(configure: Configure) -> None:
    settings = configure('[receive]\nmax_pdu = 65536\nunknown_callers = "reject"')
    rows = lookup(table(dicom(settings), "Policies"))
    with running(settings) as port:
        contexts = [build_context(VERIFICATION)]
        assoc = AE("PROBE").associate("127.0.0.1", port, contexts, ae_title="CONFORM")
        acceptor = assoc.acceptor
        assert rows["Largest PDU that is taken in"] == f"{acceptor.maximum_length} bytes"
        assert rows["Implementation class UID"] == acceptor.implementation_class_uid
        assert rows["Implementation version name"] == acceptor.implementation_version_name
        assoc.release()
        refused = {row[0] for row in table(dicom(settings), "Rejections").rows}
        for calling, called in (("STRANGER", "CONFORM"), ("PROBE", "OTHER")):
            assoc = AE(calling).associate("127.0.0.1", port, contexts, ae_title=called)
            answer = assoc.acceptor.primitive
            assert assoc.is_rejected, "neither accepted nor rejected"
            assert answer is not None
            seen = f"{answer.result}/{answer.result_source}/{answer.diagnostic}"
            assert seen in refused


@contextmanager
def recording() -> Iterator[SimpleNamespace]:
    """A peer that takes everything and notes what was proposed to it."""
    seen = SimpleNamespace(pairs=set(), roles=set(), port=0)

    def note(event: Event) -> None:
        request = event.assoc.requestor.primitive
        assert request is not None
        seen.pairs |= {
            (str(one.abstract_syntax), str(syntax))
            for one in request.presentation_context_definition_list
            for syntax in one.transfer_syntax
        }
        seen.roles |= {str(uid) for uid in event.assoc.requestor.role_selection}

    ae = AE("PACS")
    for uid in (*STORAGE, *QUERIES):
        ae.add_supported_context(uid, SYNTAXES, scu_role=True, scp_role=True)
    handlers: list[EventHandlerType] = [
        (evt.EVT_REQUESTED, note),
        (evt.EVT_C_STORE, lambda _: 0x0000),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    seen.port = server.server_address[1]
    try:
        yield seen
    finally:
        server.shutdown()


def test_results_are_proposed_as_listed(configure: Configure, tmp_path: Path) -> None:
    settings = configure(peer="reject_replaced = true")
    rows = table(dicom(settings), "Proposed to peer 'pacs'").rows
    said = {
        (uid, part.rpartition("(")[2].strip(")"))
        for _, uid, syntaxes in rows
        for part in syntaxes.split("; ")
    }
    files = []
    for number, made in enumerate(facts.results(settings)):
        path = tmp_path / f"{number}.dcm"
        made.ds.save_as(path, enforce_file_format=True)
        files.append(outgoing(path))
    with recording() as seen:
        target = Target(Peer("pacs", "PACS", "127.0.0.1", seen.port), settings.node.ae_title)
        assert all(isinstance(one, str) for one in store(files, target))
    assert seen.pairs == said
    assert len({uid for uid, _ in said}) == 8


def test_fetching_proposes_what_is_listed(configure: Configure) -> None:
    settings = configure()
    rows = table(dicom(settings), "Proposed to a peer that images").rows
    with recording() as seen:
        target = Target(Peer("pacs", "PACS", "127.0.0.1", seen.port), settings.node.ae_title)
        for origin in (
            GetOrigin(target, lambda _: Recorded.NEW),
            MoveOrigin(target, lambda _: True),
        ):
            origin.query.line()
            origin.query.close()
    assert {uid for _, uid, _, _ in rows} == {uid for uid, _ in seen.pairs}
    assert {uid for _, uid, _, role in rows if role.startswith("SCP")} == seen.roles
    images = {pair for pair in seen.pairs if pair[0] in seen.roles}
    order = {uid for _, uid in table(dicom(settings), "Order of preference").rows}
    assert images == {(uid, syntax) for uid in seen.roles for syntax in order}
