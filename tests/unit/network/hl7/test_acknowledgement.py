"""The acknowledgement: what comes back, and in whose words."""

import pytest
from hl7apy.parser import parse_message

from dicom_node.domain.exchange.orders import Fault
from dicom_node.formats.hl7.segments import envelope_of
from dicom_node.network.hl7.acknowledgement import acknowledgement
from dicom_node.network.hl7.mllp import parse_acknowledgement
from tests.support.order_messages import message, msh, orm

FAULT = Fault("AE", 101, "no patient identifier", "PID", 1, 3)


def answer(content: bytes, fault: Fault | None = None) -> str:
    said = acknowledgement(envelope_of(content), fault, 0.0)
    assert said is not None
    return said.decode("latin-1")


def test_a_stored_message_is_acknowledged_by_its_control_id() -> None:
    lines = answer(message(msh("OMI^O23^OMI_O23", control_id="M-77"))).split("\r")
    header, msa = lines[0].split("|"), lines[1]
    assert header[2:6] == ["CXRAI", "HOSP", "RIS", "HOSP"]
    assert header[6] == "19700101000000+0000"
    assert (header[8], header[10], header[11]) == ("ACK^O23^ACK", "P", "2.5.1")
    assert 1 <= len(header[9]) <= 20
    assert (msa, lines[2:]) == ("MSA|AA|M-77", [""])


def test_a_fault_names_its_place() -> None:
    said = answer(message(msh("ADT^A08")), FAULT)
    assert "\rMSA|AE|M1|no patient identifier\r" in said
    place = "ERR||PID^1^3|101^Required field missing^HL70357|E||||no patient identifier\r"
    assert said.endswith(place)


def test_versions_before_2_5_get_their_own_error_segment() -> None:
    said = answer(orm(), FAULT)
    assert said.split("\r")[0].endswith("|ACK^O01|" + said.split("|")[9] + "|P|2.3")
    assert said.endswith("ERR|PID^1^3^101&Required field missing&HL70357\r")


@pytest.mark.parametrize("fault", [None, FAULT])
@pytest.mark.parametrize("kind", ["ORM^O01", "OMI^O23", "ADT^A08", "ADT^A31", "ADT^A40"])
def test_hl7apy_and_our_own_sender_read_it(kind: str, fault: Fault | None) -> None:
    said = answer(message(msh(kind)), fault)
    parse_message(said).validate()
    read = parse_acknowledgement(said.encode())
    assert (read.code, read.control_id) == ("AA" if fault is None else "AE", "M1")


@pytest.mark.parametrize(
    ("accept", "application", "code", "refusal"),
    [
        ("", "", "AA", "AE"),
        ("AL", "NE", "CA", "CE"),
        ("AL", "", "CA", "CE"),
        ("NE", "AL", "AA", "AE"),
        ("ER", "NE", None, "CE"),
        ("SU", "NE", "CA", None),
        ("NE", "NE", None, None),
    ],
)
def test_enhanced_mode_gets_what_it_asks_for(
    accept: str, application: str, code: str | None, refusal: str | None
) -> None:
    header = rf"MSH|^~\&|RIS|H|CXRAI|H|2026||ORM^O01|M1|P|2.4|||{accept}|{application}"
    for fault, expected in ((None, code), (FAULT, refusal)):
        said = acknowledgement(envelope_of(message(header)), fault, 0.0)
        assert (None if said is None else said.split(b"MSA|")[1][:2].decode()) == expected


def test_what_a_sender_said_comes_back_byte_for_byte() -> None:
    content = orm().replace(b"|M1|", b"|M|1\xe9|")
    content = content.translate(bytes.maketrans(b"|^~\\&", b"#*+?!")).replace(b"M#1", b"M|1")
    said = answer(content, FAULT).encode("latin-1")
    assert said.startswith(b"MSH#*+?!#CXRAI#HOSP#RIS#HOSP#")
    assert b"\rMSA#AE#M|1\xe9#no patient identifier\r" in said
    assert said.endswith(b"\rERR#PID*1*3*101!Required field missing!HL70357\r")
