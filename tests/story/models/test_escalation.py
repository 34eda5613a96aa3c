"""An urgent finding that one receiver refuses or ignores reaches the next."""

import time
from pathlib import Path
from threading import Event

import pytest

from dicom_node.assembly import destinations
from dicom_node.assembly.parts import open_parts
from dicom_node.operations import schedule
from dicom_node.storage.database.schema import deliveries, escalations
from dicom_node.storage.queue.escalation import escalate
from tests.support.listeners import HL7Listener, until
from tests.support.node import CONFIGURATION, MakeNode, Node

RECEIVER = """
[[hl7]]
name = "{name}"
host = "127.0.0.1"
port = {port}
allow_empty_patient_id = true
{more}
"""


def node_with(make: MakeNode, ris: HL7Listener, ward: HL7Listener, after_s: float = 60) -> Node:
    more = RECEIVER.format(
        name="ris", port=ris.port, more=f'escalation = ["ward"]\nescalate_after_s = {after_s}'
    )
    more += RECEIVER.format(name="ward", port=ward.port, more='version = "2.4"\nzds = true')
    return make(CONFIGURATION + 'notify = ["ris"]\n' + more)


def read(node: Node, image: Path) -> None:
    node.receive(image)
    assert node.work(node.configured())


def test_a_refusal_reaches_the_next_in_its_own_dialect_once(
    make_node: MakeNode,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AE") as ris, HL7Listener("AA") as ward:
        node = node_with(make_node, ris, ward)
        read(node, phantoms["right"])
        assert node.deliver("ward") == 0  # nobody was asked yet
        assert node.deliver("ris") == 1
        assert node.deliver("ward") == 1
        assert node.deliver("ward") == 0
        assert escalate(node.parts.engine, time.time() + 3600) == 0
        (first,), (second,) = ris.messages, ward.messages
    assert b"|ORU^R01^ORU_R01|" in first
    assert b"|ORU^R01|" in second
    assert b"\rZDS|" in second
    assert b"pneumothorax suspected, right" in second
    states = [
        (row.destination, row.state) for row in node.rows(deliveries) if row.protocol == "mllp"
    ]
    assert states == [("ris", "discarded"), ("ward", "completed")]


def test_an_acknowledged_message_stays_where_it_is_after_a_restart(
    make_node: MakeNode,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AR", "AA") as ris, HL7Listener("AA") as ward:
        node = node_with(make_node, ris, ward)
        read(node, phantoms["right"])
        assert node.deliver("ris") == 1  # not taken yet
        node.parts.close()
        node.parts = open_parts(node.settings)
        assert escalate(node.parts.engine, time.time() + 30) == 0
        assert escalate(node.parts.engine, time.time() + 61) == 1
        node.parts.close()
        node.parts = open_parts(node.settings)
        assert escalate(node.parts.engine, time.time() + 3600) == 0  # once
        assert node.deliver("ward") == 1
        assert len(ward.messages) == 1
    assert [row.fate for row in node.rows(escalations)] == ["sent"]


def test_the_deliver_role_watches_the_time(
    make_node: MakeNode,
    phantoms: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "RESCUE_EVERY_S", 1)
    with HL7Listener("AR") as ris, HL7Listener("AA") as ward:
        node = node_with(make_node, ris, ward, after_s=0.5)
        read(node, phantoms["right"])
        assert node.deliver("ris") == 1
        with schedule.tidying(node.parts, destinations.senders(node.settings), Event().wait):
            until(lambda: node.deliver("ward") == 1, "the escalation")
        assert len(ward.messages) == 1


def test_a_healthy_chest_disturbs_nobody(
    make_node: MakeNode,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AE") as ris, HL7Listener("AA") as ward:
        node = node_with(make_node, ris, ward)
        read(node, phantoms["none"])
        assert [row for row in node.rows(deliveries) if row.protocol == "mllp"] == []
        assert node.rows(escalations) == []
