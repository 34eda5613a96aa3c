"""The pictures of a printed page: radiograph and scales."""

from io import BytesIO

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Spacer

from dicom_node.domain.findings import Finding, Findings, Presence
from dicom_node.domain.study import Radiograph
from dicom_node.results.picture.picture import draw_picture

INK = HexColor("#2C3E50")
PALE = HexColor("#D5DAE0")
WHITE = HexColor("#FFFFFF")
STRONG = HexColor("#963F00")
SCALE: tuple[float, float] = (22 * mm, 3.4 * mm)


def picture(
    radiograph: Radiograph, findings: tuple[Findings, ...], room: tuple[float, float]
) -> list[Flowable]:
    """Show the radiograph with its marks, as large as (width, height) in points allow."""
    image = draw_picture(radiograph, findings)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0)  # or the colour of thin lines fades
    buffer.seek(0)
    gap = 2 * mm
    scale = min(room[0] / image.width, (room[1] - 2 * gap) / image.height)
    shown = Image(buffer, width=image.width * scale, height=image.height * scale)
    return [Spacer(1, gap), shown, Spacer(1, gap)]


class ProbabilityScale(Flowable):  # type: ignore[misc]  # reportlab has no types
    """Compare a probability with its threshold on a line from 0 to 1.

    The dark part of the line is where the finding counts as present, the dot is
    this image.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.width, self.height = SCALE
        self.threshold = finding.operating_point.threshold
        self.value = finding.probability
        self.colour = INK if finding.presence is Presence.ABSENT else STRONG

    def draw(self) -> None:
        """Draw on the page, from the lower left corner."""
        canvas, middle, dot = self.canv, self.height / 2, self.height * 0.36
        start, end = self._at(0.0), self._at(1.0)
        threshold = self._at(self.threshold)
        for left, colour in ((start, PALE), (threshold, INK)):
            canvas.setFillColor(colour)
            canvas.rect(left, middle - 0.8, end - left, 1.6, stroke=0, fill=1)
        canvas.setStrokeColor(INK)
        canvas.line(threshold, 0, threshold, self.height)
        canvas.setFillColor(self.colour)
        canvas.setStrokeColor(WHITE)
        canvas.circle(self._at(self.value), middle, dot, stroke=1, fill=1)

    def _at(self, share: float) -> float:
        dot = SCALE[1] * 0.36
        return dot + (SCALE[0] - 2 * dot) * min(1.0, max(0.0, share))
