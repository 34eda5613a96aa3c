"""What the reading tasks with a network of their own have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from dicom_node.domain.errors import BadSettings
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import InstanceRef, Orientation, Radiograph
from pipelines.phantom.chest import CONDITIONS, Phantom, chest_phantom
from pipelines.serving.ensemble import check_members
from pipelines.serving.manifest import ModelManifest, PhantomReference
from pipelines.serving.session import Runner, SharedSession, sha256_of


@dataclass(frozen=True, slots=True)
class Task(ABC):
    """A loaded model, and the constancy test that it must pass."""

    manifest: ModelManifest
    network: SharedSession

    SAYS: ClassVar[tuple[str, str]] = ("probability", "mask")
    """What it says of a phantom, in words: a probability, an area (or nothing)."""

    @property
    def session(self) -> Runner:
        """The loaded network."""
        return self.network.session

    @property
    def name(self) -> str:
        """The name used in routes."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def device(self) -> str:
        """Where the network computes, in words."""
        return self.session.device

    def verify(self) -> tuple[Check, ...]:
        """Check the weights and that the phantoms are read as at release."""
        intact = sha256_of(self.manifest.weights) == self.manifest.sha256
        words = f"version {self.version}, SHA-256 {self.manifest.sha256[:12]}..., {self.device}"
        weights = Check(f"{self.name} weights", intact, words if intact else "SHA-256 differs")
        members = check_members(self.name, self.manifest)
        return (weights, *members, *map(self._compare, self.manifest.constancy.references))

    def _compare(self, then: PhantomReference) -> Check:
        """Compare today's reading of one phantom with the reference."""
        now, constancy = self.reread(then), self.manifest.constancy
        ok = (
            abs(now.probability - then.probability) <= constancy.probability_tolerance
            and abs(now.mask_mm2 - then.mask_mm2) <= constancy.mask_tolerance_mm2
        )
        sure, drawn = self.SAYS
        words = f"{sure} {now.probability:.3f} (reference {then.probability:.3f})"
        if drawn:
            words += f", {drawn} {now.mask_mm2:.0f} mm2 (reference {then.mask_mm2:.0f})"
        return Check(f"{self.name} phantom {then.seed} {then.condition}", ok, words)

    @abstractmethod
    def reread(self, reference: PhantomReference) -> PhantomReference:
        """Read the phantom of a reference: what this model says of it now."""

    def reread_all(self) -> ModelManifest:
        """Give the manifest with what this model says of its phantoms now."""
        constancy = self.manifest.constancy
        references = tuple(map(self.reread, constancy.references))
        return replace(self.manifest, constancy=replace(constancy, references=references))

    def film(self, reference: PhantomReference) -> tuple[Phantom, Radiograph]:
        """Make the phantom of a reference; raises BadSettings for an unknown condition."""
        constancy = self.manifest.constancy
        return phantom_film(reference.seed, reference.condition, constancy.rows, constancy.columns)


def phantom_film(seed: int, condition: str, rows: int, columns: int) -> tuple[Phantom, Radiograph]:
    """Make a phantom as a radiograph; raises BadSettings for an unknown condition."""
    if condition not in CONDITIONS:
        raise BadSettings(f"model.toml: phantom condition {condition!r} is unknown")
    phantom = chest_phantom(seed, CONDITIONS[condition], rows=rows, columns=columns)
    film = Radiograph(phantom.display(), InstanceRef("", ""), orientation=Orientation("L", "F"))
    return phantom, film
