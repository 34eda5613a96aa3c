"""The shared files, good and damaged, sent bit for bit."""

from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info

from dicom_node.network.dimse.options import IMAGE_CLASSES
from tests.support.raw_scu import RawSCU
from tests.support.receiver import Receiver

pytestmark = pytest.mark.data


def _data_set(path: Path) -> bytes:
    """Cut off preamble and File Meta, whose length is its first element (PS3.10 7.1)."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_every_served_file_is_stored_bit_for_bit(node: Receiver, shared: Path) -> None:
    statuses: dict[str, int] = {}
    sent: dict[str, bytes] = {}
    for path in sorted((shared / "dicom").glob("*.dcm")):
        if path.read_bytes()[128:132] != b"DICM":
            continue
        meta = read_file_meta_info(path)
        kind, syntax = meta.get("MediaStorageSOPClassUID"), meta.get("TransferSyntaxUID")
        uid = str(meta.get("MediaStorageSOPInstanceUID"))
        if kind not in IMAGE_CLASSES or syntax is None or uid in sent:
            continue
        with RawSCU(node.port, ((kind, (syntax,)),)) as scu:
            response = scu.store(_data_set(path), kind, uid, pdu_size=131072)
            statuses[path.name] = response.status
            sent[uid] = _data_set(path)
            assert scu.echo() == 0x0000
    odd = {name: status for name, status in statuses.items() if status}
    assert odd == {"other_vpop_idexx_vet_DX_jpeg-baseline.dcm": 0xA900}  # it has no study
    assert len(statuses) > 35
    for row in node.rows():
        stored = node.root / "archive" / row.file_key
        assert _data_set(stored) == sent[row.sop_instance_uid]
    outcomes = node.outcomes()
    assert outcomes.count("pneumothorax") >= 26
    assert {outcome for outcome in outcomes if outcome != "pneumothorax"} == {
        "not analysed: body part HIP not in route",
        "not analysed: body part EXTREMITY not in route",
        "not analysed: modality XA not in route",
        "not analysed: image of 16 x 16 pixels is too small",
        "not analysed: modality OT not in route",
    }


@pytest.mark.parametrize(
    "name",
    [
        "malformed_pydicom_badVR.dcm",
        "malformed_pydicom_empty_charset_LEI.dcm",
        "malformed_pydicom_meta_missing_tsyntax.dcm",
        "malformed_pydicom_no_meta.dcm",
        "malformed_pydicom_MR_truncated.dcm",
        "malformed_pydicom_nested_priv_SQ.dcm",
        "manifest.csv",
    ],
)
@pytest.mark.parametrize(
    "context", [1, 9, 11, 13], ids=["explicit", "implicit", "deflated", "jpeg"]
)
def test_damaged_files_are_refused_in_any_syntax(
    node: Receiver, scu: RawSCU, shared: Path, name: str, context: int
) -> None:
    content = (shared / "dicom" / name).read_bytes()
    if content[128:132] == b"DICM":
        content = _data_set(shared / "dicom" / name)
    response = scu.store(content, sop_instance="1.2.3", context=context)
    assert response.status in (0xC000, 0xA900)
    assert response.comment
    assert node.rows() == [] and node.files() == []
