"""Tells the audit trail what a PACS is asked."""

from collections.abc import Callable
from urllib.parse import urlencode

from dicom_node.audit.events import Endpoint
from dicom_node.audit.node import Audit, endpoints
from dicom_node.domain.exchange.retrieval import Inquiry
from dicom_node.network.dimse.query import STUDY_ROOT_FIND, encoded
from dicom_node.settings.settings import Settings

QIDO = "QIDO-RS"
"""Stands for a SOP class, which a request over HTTP has not."""


def telling(audit: Audit, settings: Settings, peer: str, web: str) -> Callable[[Inquiry], None]:
    """Make what tells of each request to a peer or, with `web`, to a web server."""
    named = endpoints(settings)
    to = named.get(web or peer, Endpoint(web or peer))

    def tell(inquiry: Inquiry) -> None:
        if not audit.on:
            return
        if web:
            audit.asked(to, QIDO, _parameters(inquiry).encode())
        else:
            audit.asked(to, STUDY_ROOT_FIND, encoded(inquiry))

    return tell


def _parameters(inquiry: Inquiry) -> str:
    asked = {
        "StudyDate": "" if inquiry.day is None else f"{inquiry.day:%Y%m%d}",
        "AccessionNumber": inquiry.accession_number,
        "ModalitiesInStudy": inquiry.modality,
    }
    return "/studies?" + urlencode({name: value for name, value in asked.items() if value})
