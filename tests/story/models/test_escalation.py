"""An urgent finding that one receiver refuses or ignores reaches the next."""

import time
from pathlib import Path
from threading import Event

import pytest

from dicom_node.assembly import destinations
from dicom_node.assembly import parts as node
from dicom_node.assembly.parts import Parts
from dicom_node.flow.deliver import Outbox, deliver_once
from dicom_node.operations import schedule
from dicom_node.storage.database.schema import deliveries, escalations
from dicom_node.storage.queue.escalation import escalate
from tests.support.listeners import HL7Listener, until
from tests.support.site import MakeSite, Site

RECEIVER = """
[[hl7]]
name = "{name}"
host = "127.0.0.1"
port = {port}
allow_empty_patient_id = true
{more}
"""


def site_with(make: MakeSite, ris: HL7Listener, ward: HL7Listener, after_s: float = 60) -> Site:
    more = RECEIVER.format(
        name="ris", port=ris.port, more=f'escalation = ["ward"]\nescalate_after_s = {after_s}'
    )
    more += RECEIVER.format(name="ward", port=ward.port, more='version = "2.4"\nzds = true')
    return make('notify = ["ris"]\n' + more)


def deliver(parts: Parts, destination: str) -> int:
    senders = destinations.senders(parts.settings)
    outbox = Outbox("d", parts.ledger, parts.archive, senders, time.time, 60)
    return deliver_once(outbox, destination)


def read(site: Site, image: Path) -> None:
    site.receive(image)
    assert site.work(site.reader())


def test_a_refusal_reaches_the_next_in_its_own_dialect_once(
    make_site: MakeSite,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AE") as ris, HL7Listener("AA") as ward:
        site = site_with(make_site, ris, ward)
        read(site, phantoms["right"])
        assert deliver(site.parts, "ward") == 0  # nobody was asked yet
        assert deliver(site.parts, "ris") == 1
        assert deliver(site.parts, "ward") == 1
        assert deliver(site.parts, "ward") == 0
        assert escalate(site.parts.engine, time.time() + 3600) == 0
        (first,), (second,) = ris.messages, ward.messages
    assert b"|ORU^R01^ORU_R01|" in first
    assert b"|ORU^R01|" in second
    assert b"\rZDS|" in second
    assert b"pneumothorax suspected, right" in second
    states = [
        (row.destination, row.state) for row in site.rows(deliveries) if row.protocol == "mllp"
    ]
    assert states == [("ris", "discarded"), ("ward", "completed")]


def test_an_acknowledged_message_stays_where_it_is_after_a_restart(
    make_site: MakeSite,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AR", "AA") as ris, HL7Listener("AA") as ward:
        site = site_with(make_site, ris, ward)
        read(site, phantoms["right"])
        assert deliver(site.parts, "ris") == 1  # not taken yet
        site.parts.close()
        again = node.open_parts(site.settings)
        assert escalate(again.engine, time.time() + 30) == 0
        assert escalate(again.engine, time.time() + 61) == 1
        again.close()
        again = node.open_parts(site.settings)
        assert escalate(again.engine, time.time() + 3600) == 0  # once
        assert deliver(again, "ward") == 1
        again.close()
        assert len(ward.messages) == 1
    assert [row.fate for row in site.rows(escalations)] == ["sent"]


def test_the_deliver_role_watches_the_time(
    make_site: MakeSite,
    phantoms: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "RESCUE_EVERY_S", 1)
    with HL7Listener("AR") as ris, HL7Listener("AA") as ward:
        site = site_with(make_site, ris, ward, after_s=0.5)
        read(site, phantoms["right"])
        assert deliver(site.parts, "ris") == 1
        with schedule.tidying(site.parts, destinations.senders(site.settings), Event().wait):
            until(lambda: deliver(site.parts, "ward") == 1, "the escalation")
        assert len(ward.messages) == 1


def test_a_healthy_chest_disturbs_nobody(
    make_site: MakeSite,
    phantoms: dict[str, Path],
) -> None:
    with HL7Listener("AE") as ris, HL7Listener("AA") as ward:
        site = site_with(make_site, ris, ward)
        read(site, phantoms["none"])
        assert [row for row in site.rows(deliveries) if row.protocol == "mllp"] == []
        assert site.rows(escalations) == []
