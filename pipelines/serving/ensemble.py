"""Several model files of one task that answer together.

The probability is the mean of the members' calibrated probabilities; how far they
disagree is the uncertainty (Lakshminarayanan et al., "Simple and scalable predictive
uncertainty estimation using deep ensembles", NeurIPS 2017).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Check
from pipelines.serving.manifest import Calibration, Manifest
from pipelines.serving.session import Runner, Session, open_session, sha256_of

SPREAD = "spread"
"""The output with the standard deviation of the members' probabilities."""
CERTAIN = 1e-7
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of which output are logits, and how each is calibrated."""

    output: str
    numbers: tuple[int, ...]
    calibrations: tuple[Calibration, ...]

    def probabilities(self, logits: NDArray[np.float32]) -> Numbers:
        """Give the calibrated probabilities (N, columns chosen)."""
        slopes = np.array([calibration.slope for calibration in self.calibrations])
        intercepts = np.array([calibration.intercept for calibration in self.calibrations])
        exponents = slopes * logits[:, self.numbers] + intercepts
        return np.asarray(1 / (1 + np.exp(-np.clip(exponents, -700, 700))), np.float64)

    def logits(self, probabilities: Numbers) -> Numbers:
        """Give the logits that are calibrated to these probabilities."""
        slopes = np.array([calibration.slope for calibration in self.calibrations])
        intercepts = np.array([calibration.intercept for calibration in self.calibrations])
        sure = np.clip(probabilities, CERTAIN, 1 - CERTAIN)
        return np.asarray((np.log(sure / (1 - sure)) - intercepts) / slopes, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """The lead's session and its members'; answers like a session.

    The mean probability comes as the lead's logit, so that the lead's calibration
    gives it back; every other output is the plain mean; `spread` (N, columns of the
    lead's output) is zero where a column is not calibrated.
    """

    lead: Session
    columns: Columns
    others: tuple[tuple[Session, Columns], ...]

    @property
    def device(self) -> str:
        """Where the networks compute, in words."""
        return f"{self.lead.device}, {1 + len(self.others)} models"

    def run(self, image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Give every output for a batch (N, 1, size, size), and the spread."""
        everyone = ((self.lead, self.columns), *self.others)
        told = [(session.run(image), columns) for session, columns in everyone]
        output, chosen = self.columns.output, self.columns.numbers
        shares = np.stack([columns.probabilities(outputs[output]) for outputs, columns in told])
        means: dict[str, NDArray[np.float32]] = {
            name: np.mean([outputs[name] for outputs, _ in told], axis=0) for name in told[0][0]
        }
        means[output][:, chosen] = self.columns.logits(shares.mean(axis=0))
        spread = np.zeros_like(means[output])
        spread[:, chosen] = shares.std(axis=0)
        return means | {SPREAD: spread}


def open_ensemble(manifest: Manifest, columns: Columns, device: str, threads: int) -> Runner:
    """Open a model with its members; raises BadSettings where one's calibrations do not fit."""
    lead = open_session(manifest, device, threads)
    if not manifest.members:
        return lead
    others = []
    for member in manifest.members:
        alone = replace(manifest, weights=member.weights, sha256=member.sha256)
        session = open_session(alone, device, threads)
        if len(member.calibrations) != len(columns.calibrations):
            raise BadSettings(
                f"{member.weights}: model.toml gives {len(member.calibrations)} calibrations "
                f"for {len(columns.calibrations)} labels"
            )
        others.append((session, replace(columns, calibrations=member.calibrations)))
    return Ensemble(lead, columns, tuple(others))


def digest_of(manifest: Manifest) -> str:
    """Give one SHA-256 for all the weights: the lead's own where it is alone."""
    if not manifest.members:
        return manifest.sha256
    together = "".join([manifest.sha256, *(member.sha256 for member in manifest.members)])
    return hashlib.sha256(together.encode()).hexdigest()


def check_members(name: str, manifest: Manifest) -> list[Check]:
    """Say of each member whether its weights are those that were released."""
    checks = []
    for member in manifest.members:
        intact = sha256_of(member.weights) == member.sha256
        words = f"SHA-256 {member.sha256[:12]}..." if intact else "SHA-256 differs"
        checks.append(Check(f"{name} {member.weights.name}", intact, words))
    return checks
