"""The DICOM (PS3.2) and IHE statements of one configuration."""

from pydicom.charset import python_encoding

from dicom_node.commands.conformance import facts, ihe, tables
from dicom_node.commands.conformance.document import Document, write
from dicom_node.domain import admission, reception, study
from dicom_node.domain.exchange import commitment
from dicom_node.domain.work import DELIVERY_RETRY
from dicom_node.formats.hl7.text import CODECS
from dicom_node.network.dimse import answers, commitment_scu, query, scp, scu
from dicom_node.network.dimse import commitment as commitment_scp
from dicom_node.network.dimse.options import Timeouts
from dicom_node.results.common import NOT_FOR_DIAGNOSIS
from dicom_node.settings.settings import Settings
from dicom_node.storage.queue import deliveries

MODULES = {
    "admission": admission,
    "answers": answers,
    "commitment": commitment,
    "commitment_scp": commitment_scp,
    "commitment_scu": commitment_scu,
    "deliveries": deliveries,
    "facts": facts,
    "ihe": ihe,
    "query": query,
    "reception": reception,
    "scp": scp,
    "scu": scu,
    "study": study,
    "tables": tables,
}
"""The templates take every limit and status from the module that applies it."""


def dicom_statement(settings: Settings, version: str, made_on: str) -> Document:
    """Write the DICOM statement; `made_on` is a date for people."""
    return _statement("dicom.xml.j2", settings, version, made_on)


def ihe_statement(settings: Settings, version: str, made_on: str) -> Document:
    """Say which actors and transactions are there, and which are missing."""
    return _statement("ihe.xml.j2", settings, version, made_on)


def _statement(template: str, settings: Settings, version: str, made_on: str) -> Document:
    return write(
        template,
        **MODULES,
        settings=settings,
        version=version,
        made_on=made_on,
        limits=Timeouts(),
        retry=DELIVERY_RETRY,
        python_encoding=python_encoding,
        CODECS=CODECS,
        NOT_FOR_DIAGNOSIS=NOT_FOR_DIAGNOSIS,
    )
