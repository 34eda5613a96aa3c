"""The network: MobileNetV2 with three small heads."""

import torch
from torch import Tensor, nn

from pipelines.training.trunk import CHANNELS, Trunk

TURNS = 4
"""Quarter turns counterclockwise: 0 (upright), 1, 2, 3."""


class SuitabilityNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """Three answers about one image.

    Input (N, 1, H, W), values about -1..1, H and W multiples of 32. Output:
    logits of frontal (N, 1), turn (N, 4) and inverted (N, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * CHANNELS[-1], 1 + TURNS + 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the logits."""
        deep = self.trunk(image)[-1]
        pooled = torch.cat([deep.mean(dim=(2, 3)), deep.amax(dim=(2, 3))], dim=1)
        answer = self.head(self.dropout(pooled))
        return answer[:, :1], answer[:, 1 : 1 + TURNS], answer[:, 1 + TURNS :]


class ServedNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """What is exported: the frontal logit, probabilities of turn and inversion."""

    def __init__(self, network: SuitabilityNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give `frontal` (N, 1), `turn` (N, 4) and `inverted` (N, 1)."""
        frontal, turn, inverted = self.network(image)
        return frontal, turn.softmax(dim=1), inverted.sigmoid()
