"""What is read from the messages of loose senders, and how others are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_node.domain.exchange.orders import (
    Fault,
    Merge,
    MessageRefused,
    Order,
    OrderMessage,
    OrderNumber,
    Patient,
    PatientKey,
)
from dicom_node.formats.hl7.segments import LARGEST_SEGMENT, envelope_of
from dicom_node.network.hl7.orders import parse
from tests.support.order_messages import PID, adt, message, msh, obr, orm

ANNA = Patient(PatientKey("P1", "HOSP"), "Miller^Anna^B^Dr^Jr", "19800102", "F")


def read(content: bytes) -> OrderMessage:
    return parse(content, envelope_of(content))


def refused(content: bytes) -> Fault:
    with pytest.raises(MessageRefused) as caught:
        read(content)
    return caught.value.fault


def only(content: bytes) -> Order:
    (order,) = read(content).orders
    return order


def test_an_orm_gives_numbers_priority_patient_and_study() -> None:
    placer, filler = OrderNumber("PL1", "RIS"), OrderNumber("FI1", "LAB")
    key = PatientKey("P1", "HOSP")
    order = Order("NW", "ACC1", placer, filler, "1.2.840.1", key, "urgent")
    assert read(orm()) == OrderMessage((order,), (ANNA,))


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\r\n", b" \r\n\xef\xbb\xbf"])
def test_what_stands_before_msh_is_passed_over(before: bytes) -> None:
    assert read(before + orm()) == read(orm())


def test_an_omi_gives_them_from_tq1_and_ipc() -> None:
    content = message(
        msh("OMI^O23^OMI_O23"),
        PID,
        "ORC|NW|PL7",
        "TQ1|1||||||||A^ASAP^HL70485",
        obr(filler="FI7"),
        "IPC|ACC7^RIS|RP7|1.2.3.7^RIS|SPS7",
    )
    order = only(content)
    assert (order.accession_number, order.study_uid, order.priority) == ("ACC7", "1.2.3.7", "high")
    assert (order.placer.value, order.filler.value) == ("PL7", "FI7")


@pytest.mark.parametrize(
    ("code", "priority"),
    [("S", "urgent"), ("A", "high"), ("R", "routine"), ("TS30", None), ("", None)],
)
def test_the_priority_is_that_of_table_0485(code: str, priority: str | None) -> None:
    assert only(orm(code)).priority == priority


def test_the_most_urgent_of_several_codes_counts() -> None:
    content = message(
        msh("ORM^O01"),
        PID,
        "ORC|NW|P||||^^^^^A",
        obr(accession="A", priority="R"),
        "TQ1|1||||||||S",
    )
    assert only(content).priority == "urgent"


@pytest.mark.parametrize("control", ["CA", "OC", "DC"])
def test_a_cancelled_order_is_known_as_such(control: str) -> None:
    assert only(orm(control=control)).cancelled


def test_each_obr_is_an_order_and_shares_the_study() -> None:
    content = message(
        msh("ORM^O01"),
        PID,
        "ORC|NW|PL1",
        obr(accession="A1"),
        obr(accession="A2"),
        "ORC|NW|PL2",
        obr(accession="A3"),
        "ZDS|1.2.9^RIS^Application^DICOM",
    )
    orders = read(content).orders
    assert [one.accession_number for one in orders] == ["A1", "A2", "A3"]
    assert [one.placer.value for one in orders] == ["PL1", "PL1", "PL2"]
    assert {one.study_uid for one in orders} == {"1.2.9"}


def test_the_filler_number_stands_for_a_missing_accession_number() -> None:
    assert only(message(msh("ORM^O01"), "ORC|NW||F9")).accession_number == "F9"


def test_unknown_segments_line_feeds_and_other_separators_are_taken() -> None:
    loose = orm().replace(b"PV1|", b"ZPV|x^y&z~w\rscribble\rPV1|").replace(b"\r", b"\r\n")
    assert read(loose) == read(orm())
    other = orm().translate(bytes.maketrans(b"|^~\\&", b"#*+?!"))
    assert read(other) == read(orm())


def test_a_missing_value_and_a_deleted_one_are_not_known() -> None:
    (patient,) = read(adt("A08", 'PID|1||P1||""||""|U')).patients
    assert patient == Patient(PatientKey("P1"))


def test_an_update_of_the_person_is_one_of_the_patient() -> None:
    pid = "PID|1||P1||Muster^Erika||19600101|F"
    assert read(adt("A31", pid)) == read(adt("A08", pid))
    assert read(adt("A31", pid)).patients[0].birth_date == "19600101"


def test_the_home_identifier_is_chosen() -> None:
    (patient,) = read(adt("A08", "PID|1||999^^^NAT^NI~P1^^^HOSP&1.2&ISO^MR||A^B")).patients
    assert patient.key == PatientKey("P1", "HOSP")


def test_names_are_decoded_unescaped_and_put_in_dicoms_order() -> None:
    pid = r"PID|1||P1||山田^太郎^^^^^L^I~Yamada^T\S\aro^^^^^L^A~やまだ^たろう^^^^^L^P"
    content = message(msh("ADT^A08", charset="UNICODE UTF-8"), pid, encoding="utf-8")
    (patient,) = read(content).patients
    assert patient.name == "Yamada^T aro=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("8859/1", "latin-1"), ("", "latin-1"), ("", "utf-8"), ("ASCII", "utf-8")],
)
def test_umlauts_survive_what_msh_18_says_or_leaves_out(charset: str, encoding: str) -> None:
    content = message(msh("ADT^A08", charset=charset), "PID|1||P1||Müller", encoding=encoding)
    assert read(content).patients[0].name == "Müller"


def test_a_merge_pairs_mrg_with_the_pid_before_it() -> None:
    heard = read(adt("A40", PID, "MRG|OLD^^^HOSP", "PID|2||P2||B", "MRG|OLD2"))
    assert heard.merges == (
        Merge(PatientKey("OLD", "HOSP"), PatientKey("P1", "HOSP")),
        Merge(PatientKey("OLD2"), PatientKey("P2")),
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (message(msh("ORU^R01")), ("AR", 200, "MSH", 9)),
        (message(msh("ADT^A01")), ("AR", 201, "MSH", 9)),
        (orm().replace(b"|P|2.3", b"|T|2.3"), ("AR", 202, "MSH", 11)),
        (orm().replace(b"|P|2.3", b"|P|2.9"), ("AR", 203, "MSH", 12)),
        (orm().replace(b"|M1|", b"||"), ("AE", 101, "MSH", 10)),
        (message(msh("ORM^O01", charset="EBCDIC")), ("AE", 103, "MSH", 18)),
        (message(msh("ORM^O01", charset="UNICODE UTF-8")) + b"PID|\xff", ("AE", 102, "MSH", 18)),
        (orm().replace(b"^~\\&", b"^^^^"), ("AE", 102, "MSH", 2)),
        (message(msh("ORM^O01"), PID), ("AE", 100, "ORC", 0)),
        (message(msh("ORM^O01"), PID, obr(accession="A")), ("AE", 100, "OBR", 0)),
        (message(msh("ORM^O01"), "ORC||P"), ("AE", 101, "ORC", 1)),
        (message(msh("ORM^O01"), "ORC|NW"), ("AE", 101, "ORC", 2)),
        (message(msh("ORM^O01"), "PID|1||", "ORC|NW|P"), ("AE", 101, "PID", 3)),
        (message(msh("ADT^A08")), ("AE", 100, "PID", 0)),
        (adt("A40", PID), ("AE", 100, "MRG", 0)),
        (adt("A40", PID, "MRG|"), ("AE", 101, "MRG", 1)),
        (adt("A40", PID, "MRG|P1^^^HOSP"), ("AE", 102, "MRG", 1)),
        (message(msh("ADT^A08"), "PID|1||" + "~" * LARGEST_SEGMENT), ("AE", 102, "MSH", 0)),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    content: bytes, fault: tuple[str, int, str, int]
) -> None:
    said = refused(content)
    assert (said.code, said.condition, said.segment, said.field) == fault


@settings(deadline=None, max_examples=150)  # the machine may be busy
@given(st.text('|^~\\&\r"PIDORCMSHBZ1 é\x00', max_size=120))
def test_any_text_is_read_or_refused(scribble: str) -> None:
    for kind in ("ORM^O01", "ADT^A40"):
        content = message(msh(kind), "PID|1||P1", "ORC|NW|1") + scribble.encode()
        try:
            assert isinstance(read(content), OrderMessage)
        except MessageRefused as refusal:
            assert refusal.fault.code in ("AE", "AR")
