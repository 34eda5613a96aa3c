"""Every kind of DICOM result, and its builder."""

from collections.abc import Iterable, Mapping

from dicom_node.domain.work import ObjectKind
from dicom_node.results.common import Builder, ReportContext
from dicom_node.results.dicom import gsps, kos, pdf, sc, seg, sr, text_sr
from dicom_node.results.example import example

BUILDERS: Mapping[ObjectKind, Builder] = {
    "seg": seg.build,
    "sr": sr.build,
    "text_sr": text_sr.build,
    "sc": sc.build,
    "gsps": gsps.build,
    "kos": kos.build,
    "pdf": pdf.build,
}


def warm_up(kinds: Iterable[ObjectKind] = ("seg", "sr", "sc")) -> None:
    """Build an example of each kind, so that the first real one is not slow."""
    made_up = example()
    for kind in kinds:
        BUILDERS[kind](made_up, ReportContext(0.0, "0"))
