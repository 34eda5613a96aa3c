"""MobileNetV2 for grey images: the trunk that networks share."""

from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

CHANNELS = (16, 24, 32, 96, 320)
"""Channels of the features at a half, a quarter, ... a thirty-second of the size."""
TAPS = (1, 3, 6, 13, 17)
"""The layers that give them; the widening to 1,280 channels behind is left out."""
FROZEN_LAYERS = 4
"""The layers down to a quarter of the size keep what ImageNet taught."""


class Trunk(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """The layers of MobileNetV2 up to 320 channels.

    Input (N, 1, H, W), values about -1..1, H and W multiples of 32; output five
    feature maps, from (N, 16, H/2, W/2) to (N, 320, H/32, W/32).
    """

    def __init__(self) -> None:
        super().__init__()
        encoder = smp.encoders.get_encoder("mobilenet_v2", in_channels=1, weights=None)
        self.features = encoder.features[: TAPS[-1] + 1]
        for layer in self.features[:FROZEN_LAYERS]:
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> "Trunk":
        """Switch mode; frozen layers keep their batch statistics."""
        super().train(mode)
        for layer in self.features[:FROZEN_LAYERS]:
            layer.eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Give the five feature maps, finest first."""
        found = []
        for number, layer in enumerate(self.features):
            image = layer(image)
            if number in TAPS:
                found.append(image)
        return found


def load_imagenet(encoder: nn.Module, weights: Path) -> None:
    """Fill MobileNetV2 or a part of it; three colour filters add up to one grey filter."""
    with np.load(weights) as arrays:
        given = {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
    first = "features.0.0.weight"
    given[first] = given[first].float().sum(dim=1, keepdim=True)
    wanted = encoder.state_dict()
    encoder.load_state_dict({name: given[name].to(wanted[name]) for name in wanted})


class Up(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """Double the size, add the trunk's features of that size, and mix."""

    def __init__(self, deep: int, skip: int, out: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(deep + skip, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Give (N, out, H, W) of the size of `skip`."""
        larger = nn.functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        return self.mix(torch.cat([larger, skip], dim=1))
