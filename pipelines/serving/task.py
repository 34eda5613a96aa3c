"""What the reading tasks with a network of their own have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

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
        return (weights, *members, *map(self._reread, self.manifest.constancy.references))

    def _reread(self, reference: PhantomReference) -> Check:
        ok, words = self.compare(reference)
        return Check(f"{self.name} phantom {reference.seed} {reference.condition}", ok, words)

    @abstractmethod
    def compare(self, reference: PhantomReference) -> tuple[bool, str]:
        """Compare today's reading of one phantom with the reference, and say it in words."""


def phantom_film(
    manifest: ModelManifest, reference: PhantomReference
) -> tuple[Phantom, Radiograph]:
    """Make the phantom of a reference; raises BadSettings for an unknown condition."""
    if reference.condition not in CONDITIONS:
        raise BadSettings(f"model.toml: phantom condition {reference.condition!r} is unknown")
    phantom = chest_phantom(
        reference.seed,
        CONDITIONS[reference.condition],
        rows=manifest.constancy.rows,
        columns=manifest.constancy.columns,
    )
    film = Radiograph(phantom.display(), InstanceRef("", ""), orientation=Orientation("L", "F"))
    return phantom, film
