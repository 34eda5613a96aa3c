"""HL7 messages of order systems, as bytes."""


def msh(kind: str, version: str = "2.5.1", control_id: str = "M1", charset: str = "") -> str:
    return rf"MSH|^~\&|RIS|HOSP|CXRAI|HOSP|20261121||{kind}|{control_id}|P|{version}||||||{charset}"


def message(*segments: str, encoding: str = "ascii") -> bytes:
    return "".join(f"{segment}\r" for segment in segments).encode(encoding)


def obr(*, placer: str = "", filler: str = "", accession: str = "", priority: str = "") -> str:
    fields = [""] * 28
    fields[2], fields[3], fields[18], fields[27] = placer, filler, accession, f"^^^^^{priority}"
    return "OBR|" + "|".join(fields[1:])


PID = "PID|1||P1^^^HOSP^MR||Miller^Anna^B^Jr^Dr||19800102030405|f"


def orm(
    priority: str = "S",
    *,
    accession: str = "ACC1",
    control: str = "NW",
    study_uid: str = "1.2.840.1",
    patient: str = PID,
) -> bytes:
    return message(
        msh("ORM^O01", "2.3"),
        patient,
        "PV1|1|I|WARD^2^3",
        f"ORC|{control}|PL1^RIS|FI1^LAB",
        obr(placer="PL1^RIS", filler="FI1^LAB", accession=accession, priority=priority),
        f"ZDS|{study_uid}^RIS^Application^DICOM",
    )


def adt(event: str, *segments: str) -> bytes:
    return message(msh(f"ADT^{event}"), f"EVN|{event}|20261121", *segments)


MESSAGE = message(msh("ADT^A08"), "PID|1||P1")
