"""Patients as HL7 describes, corrects and merges them."""

from typing import Any

from sqlalchemy import Connection, Row, select

from dicom_node.domain.exchange.orders import Merge, Patient, PatientKey, same_patient
from dicom_node.storage.database.rows import key, plain, upsert
from dicom_node.storage.database.schema import patients

LONGEST_CHAIN = 20
"""Merges that are followed from one identifier to the next."""


def put_patient(conn: Connection, patient: Patient, now: float) -> None:
    """Write what is known of a patient; what a later message leaves out stays."""
    facts = {
        "name": plain(patient.name),
        "birth_date": plain(patient.birth_date),
        "sex": plain(patient.sex),
    }
    unmerged = {"merged_into": "", "merged_issuer": "", "updated_at": now}
    news = [name for name, fact in facts.items() if fact]
    upsert(conn, patients, _keys(patient.key) | facts | unmerged, (*news, "updated_at"))


def merge(conn: Connection, noted: Merge, now: float) -> None:
    """Note that a patient's identifier is used no longer.

    The surviving one is alive by this message, whatever an earlier one said, so two
    that were merged crosswise do not lead in a circle.
    """
    prior, surviving = _as_known(conn, noted.prior), _as_known(conn, noted.surviving)
    for patient, merged_into in ((prior, surviving), (surviving, PatientKey())):
        values = {
            "merged_into": key(merged_into.patient_id),
            "merged_issuer": key(merged_into.issuer),
            "updated_at": now,
        }
        unknown = {"name": "", "birth_date": "", "sex": ""}
        upsert(conn, patients, _keys(patient) | unknown | values, values.keys())


def current_patient(conn: Connection, known_as: PatientKey) -> Patient | None:
    """Follow the merges from an image's identifier; None where nothing is known of it.

    An identifier that several issuers have given out, and whose issuer the image does
    not name, is nobody's.
    """
    row = _row(conn, known_as)
    seen: set[tuple[str, str]] = set()
    while row is not None and row.merged_into and len(seen) < LONGEST_CHAIN:
        here = (row.patient_id, row.issuer)
        if here in seen:
            return None  # a circle: no identifier of it is to be trusted
        seen.add(here)
        following = _row(conn, PatientKey(row.merged_into, row.merged_issuer))
        if following is None:
            return Patient(PatientKey(row.merged_into, row.merged_issuer))
        row = following
    if row is None:
        return None
    return Patient(PatientKey(row.patient_id, row.issuer), row.name, row.birth_date, row.sex)


def _as_known(conn: Connection, patient: PatientKey) -> PatientKey:
    """Complete an identifier without issuer by the only one that is known."""
    row = _row(conn, patient)
    return patient if row is None else _key_of(row)


def _row(conn: Connection, wanted: PatientKey) -> Row[Any] | None:
    if not wanted.patient_id:
        return None
    named = select(patients).where(patients.c.patient_id == key(wanted.patient_id))
    fitting = [
        row
        for row in conn.execute(named)
        if same_patient(PatientKey(key(wanted.patient_id), key(wanted.issuer)), _key_of(row))
    ]
    exact = [row for row in fitting if row.issuer == key(wanted.issuer)]
    chosen = exact or fitting
    return chosen[0] if len(chosen) == 1 else None


def _key_of(row: Row[Any]) -> PatientKey:
    return PatientKey(row.patient_id, row.issuer)


def _keys(patient: PatientKey) -> dict[str, str]:
    return {"patient_id": key(patient.patient_id), "issuer": key(patient.issuer)}
