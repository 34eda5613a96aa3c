from collections.abc import Callable
from dataclasses import replace
from datetime import UTC

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom.dataset import Dataset

from dicom_node.domain import codes
from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Algorithm, Findings, Measurement, Presence, Side
from dicom_node.domain.study import HL7Destination
from dicom_node.formats.hl7 import text
from dicom_node.results.common import ExaminedImage
from dicom_node.results.messages import oru

Make = Callable[..., Findings]
MakeSource = Callable[..., Dataset]
RIS = HL7Destination("ris", "127.0.0.1", 2575, "RIS", "HOSP")
CONTEXT = oru.HL7Context(1_700_000_000.0, RIS, "CXRAI", "HOSP", UTC)
MADE = "20231114221320"


def message(
    source: Dataset, *findings: Findings, context: oru.HL7Context = CONTEXT
) -> list[list[str]]:
    """Build, check with hl7apy's strict validation, and split by hand."""
    made = oru.build(ExaminedImage(source, None, findings), context)
    assert made is not None
    said = made.content.decode(text.codec(context.destination.charset))
    assert said.endswith("\r")
    assert "\n" not in said
    assert parse_message(said, validation_level=VALIDATION_LEVEL.STRICT).validate()
    return [segment.split("|") for segment in said.rstrip("\r").split("\r")]


def only(segments: list[list[str]], name: str) -> list[list[str]]:
    return [segment for segment in segments if segment[0] == name]


def test_positive_is_the_standard_s_message(source: MakeSource, positive: Make) -> None:
    ds = source(IssuerOfPatientID="HOSP", PatientName="Muster^Anna^B^Dr^Jr")
    segments = message(ds, positive())
    control = segments[0][9]
    assert segments[0] == (
        f"MSH|^~\\&|CXRAI|HOSP|RIS|HOSP|{MADE}||ORU^R01^ORU_R01|{control}|P|2.5.1"
        "|||||USA|UNICODE UTF-8"
    ).split("|")
    assert 0 < len(control) <= 20
    pid = "PID|1||PAT 7^^^HOSP^MR||Muster^Anna^B^Jr^Dr||19500601|F"
    obr = (
        "OBR|1||ACC1|399208008^Plain chest X-ray^SCT|||20240102101112|||||||||||ACC1"
        f"||||{MADE}||RAD|P"
    )
    assert ["|".join(one) for one in segments[1:5]] == [pid, "PV1|1|U", "ORC|RE||ACC1||CM", obr]
    assert ["|".join(one) for one in only(segments, "OBX")] == [
        f"OBX|1|ST|113014^DICOM Study^DCM||1.2.826.0.1.3680043.8.498.2||||||O|||{MADE}",
        f"OBX|2|CWE|36118008^Pneumothorax^SCT|1|52101004^Present^SCT|||AA|||P|||{MADE}",
        f"OBX|3|CWE|272741003^Laterality^SCT|1|24028007^Right^SCT||||||P|||{MADE}",
        f"OBX|4|NM|122157^Probability^DCM|1|0.93|1^no units^UCUM|0-1||||P|||{MADE}",
        f"OBX|5|NM|42798000^Area^SCT|1|3373.9|mm2^square millimeter^UCUM|||||P|||{MADE}",
        f"OBX|6|NM|121206^Distance^DCM|1|47.8|mm^millimeter^UCUM|||||P|||{MADE}",
        "OBX|7|TX|19005-8^Impressions^LN|1|AI: pneumothorax suspected, right (p=0.93)."
        f"|||AA|||P|||{MADE}",
    ]
    notes = [one[3] for one in only(segments, "NTE")]
    assert notes[0] == "AI RESULT - NOT FOR DIAGNOSTIC USE - requires physician review"
    assert any("pneumothorax 1.2.0" in one and "ab" * 32 in one for one in notes)


def test_what_strict_validation_misses(source: MakeSource, positive: Make) -> None:
    segments = message(source(), positive(), positive(urgent=False))
    observed = only(segments, "OBX")
    assert [int(one[1]) for one in observed] == list(range(1, len(observed) + 1))
    assert segments[0][8] == "ORU^R01^ORU_R01"
    for one in observed:
        assert one[2] in ("ST", "CWE", "NM", "TX")
        assert one[11] in ("P", "O")
        if one[2] == "NM":
            float(one[5])
    assert [one[1] for one in only(segments, "NTE")] == ["1", "2", "3", "4"]


def test_negative_has_no_sizes_and_no_side(source: MakeSource, negative: Findings) -> None:
    observed = only(message(source(), negative), "OBX")
    assert [(one[3].split("^")[1], one[5], one[8]) for one in observed[1:]] == [
        ("Pneumothorax", "272519000^Absent^SCT", "N"),
        ("Probability", "0.03", ""),
        ("Impressions", "AI: no pneumothorax detected (p=0.03).", "N"),
    ]


def test_sizes_of_one_kind_are_told_apart(source: MakeSource, positive: Make) -> None:
    sizes = tuple(
        Measurement(concept, 12.0, unit, name)
        for concept, unit, name in (
            (codes.DISTANCE, codes.MILLIMETRE, "apex to cupola"),
            (codes.AREA, codes.SQUARE_MILLIMETRE, "area"),
            (codes.DISTANCE, codes.MILLIMETRE, "at the hilum"),
        )
    )
    observed = only(message(source(), positive(measurements=sizes)), "OBX")
    told = [(one[3].split("^")[1], one[17:]) for one in observed if "millimeter" in "".join(one)]
    assert told == [
        ("Distance", ["^apex to cupola"]),
        ("Area", []),
        ("Distance", ["^at the hilum"]),
    ]


def test_undetermined_side_has_no_line(source: MakeSource, positive: Make) -> None:
    observed = only(message(source(), positive(side=Side.UNDETERMINED)), "OBX")
    assert not [one for one in observed if "Laterality" in one[3]]
    assert "side undetermined" in observed[-1][5]
    heart = positive(side=Side.UNDETERMINED, site=codes.HEART)
    assert "side" not in only(message(source(), heart), "OBX")[-1][5]


def test_findings_have_sub_ids_and_flags(
    source: MakeSource, positive: Make, negative: Findings
) -> None:
    effusion = Findings(
        Algorithm("effusion", "2", "cd" * 32),
        positive(code=codes.PLEURAL_EFFUSION, urgent=False, segment=None).findings,
    )
    unsure = positive(code=codes.MASS, presence=Presence.UNDETERMINED, urgent=False)
    observed = only(message(source(), positive(), negative, effusion, unsure), "OBX")
    flags = [(one[4], one[8]) for one in observed if one[2] == "CWE" and "Laterality" not in one[3]]
    assert flags == [("1", "AA"), ("2", "N"), ("3", "A"), ("4", "")]


def test_a_repeat_has_the_same_control_id(source: MakeSource, positive: Make) -> None:
    later = replace(CONTEXT, made_at=CONTEXT.made_at + 60)
    other = replace(CONTEXT, destination=replace(RIS, name="ward"))
    made = [
        oru.build(ExaminedImage(source(), None, (positive(),)), one)
        for one in (CONTEXT, later, other)
    ]
    first, again, elsewhere = (one.sop_instance_uid for one in made if one is not None)
    assert first == again != elsewhere
    controls = [one.content.split(b"|")[9] for one in made if one is not None]
    assert controls[0] == controls[1] != controls[2]


def test_no_message_without_a_patient_or_a_reading(
    source: MakeSource, positive: Make, refused: Findings
) -> None:
    nameless = source(PatientID="")
    assert oru.build(ExaminedImage(nameless, None, (positive(),)), CONTEXT) is None
    assert oru.build(ExaminedImage(source(PatientID=None), None, (positive(),)), CONTEXT) is None
    assert oru.build(ExaminedImage(source(), None, (refused,)), CONTEXT) is None
    allowed = replace(CONTEXT, destination=replace(RIS, allow_empty_patient_id=True))
    assert only(message(nameless, positive(), context=allowed), "PID")[0][3] == "^^^^MR"


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("1993.02.24", "10:11:12", "19930224101112"),
        ("19930224", "101112.123456", "19930224101112"),
        ("19930224", "1011", "199302241011"),
        ("19930224", "10", "199302241000"),
        ("19930224", "", "19930224"),
        ("19930224", "nonsense", "19930224"),
        ("19930224", "256099", "19930224"),
        ("19931324", "101112", ""),
        ("yesterday", "101112", ""),
    ],
)
def test_old_and_wrong_dates(
    day: str, time: str, expected: str, source: MakeSource, positive: Make
) -> None:
    ds = source()
    ds["StudyDate"]._value = day  # what no writer would let through
    ds["StudyTime"]._value = time
    ds["PatientBirthDate"]._value = day
    segments = message(ds, positive())
    assert only(segments, "OBR")[0][7] == expected
    birth = only(segments, "PID")[0]
    assert (birth[7] if len(birth) > 7 else "") == expected[:8]


def test_acquisition_comes_before_study(source: MakeSource, positive: Make) -> None:
    ds = source(AcquisitionDate="20240101", AcquisitionTime="090000", ContentDate="20240103")
    assert only(message(ds, positive()), "OBR")[0][7] == "20240101090000"


def test_orders_of_the_source(source: MakeSource, positive: Make) -> None:
    ds = source(
        PlacerOrderNumberImagingServiceRequest="PL|1",
        FillerOrderNumberImagingServiceRequest="FI1",
    )
    obr = only(message(ds, positive()), "OBR")[0]
    assert (obr[2], obr[3], obr[18]) == ("PL\\F\\1", "FI1", "ACC1")
    without = message(source(AccessionNumber=""), positive())
    assert len(only(without, "OBR")[0][3]) == 20
    assert only(without, "OBR")[0][3] == only(without, "ORC")[0][3]


def test_escaping_the_backslash_first() -> None:
    assert text.escaped("a\\b|c^d&e~f\r\ng\x0bh") == "a\\E\\b\\F\\c\\S\\d\\T\\e\\R\\f\\.br\\gh"


def test_special_characters_survive_the_parser(source: MakeSource, positive: Make) -> None:
    ds = source(PatientID="A|B^C", AccessionNumber="&1~2")
    segments = message(ds, positive())
    assert only(segments, "PID")[0][3] == "A\\F\\B\\S\\C^^^^MR"
    assert only(segments, "OBR")[0][18] == "\\T\\1\\R\\2"


@pytest.mark.parametrize(
    ("charset", "name", "receiver", "expected"),
    [
        ("ISO_IR 100", "Müller^Anna", "UNICODE UTF-8", "Müller^Anna"),
        ("ISO_IR 100", "Müller^Anna", "8859/1", "Müller^Anna"),
        ("ISO_IR 100", "Müller^Anna", "ASCII", "M?ller^Anna"),
        (
            "ISO_IR 192",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "UNICODE UTF-8",
            "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
        ),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎", "8859/1", "Yamada^Tarou^^^^^L^A"),
        (
            ["", "ISO 2022 IR 87"],
            "Yamada^Tarou=山田^太郎",
            "UNICODE UTF-8",
            "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I",
        ),
        (
            "GB18030",
            "Wang^XiaoDong=王^小东",
            "GB 18030-2000",
            "Wang^XiaoDong^^^^^L^A~王^小东^^^^^L^I",
        ),
    ],
)
def test_names_in_the_receiver_s_character_set(
    charset: str, name: str, receiver: str, expected: str, source: MakeSource, positive: Make
) -> None:
    ds = source(SpecificCharacterSet=charset, PatientName=name)
    context = replace(CONTEXT, destination=replace(RIS, charset=receiver))
    segments = message(ds, positive(), context=context)
    assert only(segments, "PID")[0][5] == expected
    assert segments[0][17] == receiver


def test_unknown_character_set_of_a_receiver() -> None:
    with pytest.raises(BadSettings, match="UNICODE UTF-8"):
        text.codec("KLINGON")


@pytest.mark.parametrize("accession", ["ACC1", ""])
def test_a_correction_names_the_order_of_the_first_message(
    accession: str, source: MakeSource, positive: Make
) -> None:
    ds = source(AccessionNumber=accession)
    later = replace(positive(), algorithm=replace(positive().algorithm, version="9"))
    first = message(ds, positive())
    second = message(ds, later, context=replace(CONTEXT, corrected=True))
    other = message(source(AccessionNumber=accession, SOPInstanceUID="1.2.3.4"), positive())
    (one,), (two,), (three,) = (only(segments, "OBR") for segments in (first, second, other))
    assert one[3] == two[3] != ""
    assert (one[3] == three[3]) is bool(accession)
    assert first[0][9] != second[0][9]
    assert (one[25], two[25]) == ("P", "C")


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        *((0.93, "0.93"), (0.4199, "0.4199"), (0.4163, "0.416"), (0.42, "0.42"), (1.0, "1.00")),
        *((0.0, "0.00"), (0.2, "0.20"), (0.0046, "0.005"), (0.9997, "0.9997")),
    ],
)
def test_probability_never_rounds_across_its_threshold_or_to_certainty(
    probability: float, said: str, source: MakeSource, positive: Make
) -> None:
    observed = only(message(source(), positive(probability=probability)), "OBX")
    assert [one[5] for one in observed if "Probability" in one[3]] == [said]
