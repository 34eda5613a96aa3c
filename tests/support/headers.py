"""Headers of data sets that are in memory."""

from io import BytesIO

from pydicom.dataset import Dataset

from dicom_node.domain.study import Instance
from dicom_node.formats.dicom.header import describe_file, parse


def parse_bytes(content: bytes, transfer_syntax_uid: str) -> Dataset:
    """Parse up to the pixels; raises NotAnalysable."""
    return parse(BytesIO(content), transfer_syntax_uid)


def describe_bytes(content: bytes, transfer_syntax_uid: str) -> Instance:
    """Say what the rules need to know; raises NotAnalysable."""
    return describe_file(BytesIO(content), transfer_syntax_uid)
