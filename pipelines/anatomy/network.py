"""The network: a slim U-Net that outlines lungs and heart."""

import torch
from torch import Tensor, nn

from pipelines.training.trunk import CHANNELS, Trunk, Up

REGIONS = ("visible lungs", "whole lungs", "heart")
"""The lungs up to the heart's border; with what lies behind it; the heart."""
DECODER = (96, 64, 32, 24)


class AnatomyNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """MobileNetV2 U-Net; regions come at half size and are smoothed up.

    Input (N, 1, H, W), values about -1..1, H and W multiples of 32. Output:
    logits (N, 3, H, W) in the order of REGIONS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        deep = CHANNELS[-1]
        ups = []
        for skip, out in zip(CHANNELS[-2::-1], DECODER, strict=True):
            ups.append(Up(deep, skip, out))
            deep = out
        self.ups = nn.ModuleList(ups)
        self.head = nn.Conv2d(deep, len(REGIONS), 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Give the regions' logits."""
        *skips, deep = self.trunk(image)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            deep = up(deep, skip)
        half = self.head(deep)
        return nn.functional.interpolate(half, scale_factor=2.0, mode="bilinear")


class ServedNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """What is exported: the regions' probabilities."""

    def __init__(self, network: AnatomyNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Give `regions` (N, 3, H, W) in 0..1."""
        return (torch.sigmoid(self.network(image)),)
