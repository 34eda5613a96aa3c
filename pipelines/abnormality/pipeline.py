"""Score a chest radiograph: normal or abnormal."""

from dataclasses import dataclass
from pathlib import Path

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.findings import Finding, Findings
from dicom_node.domain.ports import Check
from dicom_node.domain.study import Radiograph
from pipelines.abnormality import codes
from pipelines.chest_findings.reading import SharedModel, open_model, presence_of

NAME = "abnormality"


@dataclass(frozen=True, slots=True)
class AbnormalityPipeline:
    """The reading task with its loaded model."""

    model: SharedModel

    @property
    def name(self) -> str:
        """The name used in routes."""
        return self.model.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.model.session.device

    def read(self, radiograph: Radiograph) -> Findings:
        """Score one radiograph; NotAnalysable for an image without content."""
        answer = self.model.answer(radiograph)
        (label,) = (one for one in self.model.manifest.labels if one.name == codes.LABEL)
        probability = label.calibration.probability(float(answer.scores[label.column]))
        finding = Finding(
            code=codes.CODE,
            presence=presence_of(label, probability),
            probability=probability,
            operating_point=label.point,
            site=codes.SITE,
        )
        return Findings(
            algorithm=self.model.algorithm,
            findings=(finding,),
            notes=(*radiograph.notes, codes.FOR_ORDER),
            timings_ms=answer.timings_ms,
        )

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        return self.model.verify()


def load(models_dir: Path, device: str = "auto", threads: int = 0) -> AbnormalityPipeline:
    """Load the model of `models_dir`/abnormality; BadSettings if unfit."""
    model = open_model(models_dir, NAME, device, threads)
    if codes.LABEL not in {label.name for label in model.manifest.labels}:
        raise BadSettings(f"{models_dir / NAME}: model.toml lacks the label {codes.LABEL!r}")
    return AbnormalityPipeline(model)
