"""The network: one MobileNetV2 trunk with scores and place maps."""

from collections.abc import Mapping
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from pipelines.chest_findings.codes import MAPPED, SCORES

FROZEN_STAGES = 4
"""The encoder's layers down to a quarter of the size keep what they were taught."""
WIDTH = 96
TOP_SHARE = 0.06
"""A map's score is the mean of this share of its highest cells."""


class TrunkNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """Scores of the whole image and a map per boxed finding.

    Input (N, 1, S, S), values about -1..1, S a multiple of 32. Output: logits
    (N, scores) and map logits (N, mapped, S / 8, S / 8).
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = smp.encoders.get_encoder("mobilenet_v2", in_channels=1, weights=None)
        channels = self.encoder.out_channels
        self.dropout = nn.Dropout(0.3)
        self.scores = nn.Linear(2 * channels[-1], len(SCORES))
        self.deep = _mixer(channels[-1], WIDTH)
        self.middle = _mixer(channels[-2], WIDTH)
        self.fine = _mixer(channels[-3], WIDTH)
        self.smooth = nn.Sequential(_separable(WIDTH), _separable(WIDTH))
        self.maps = nn.Conv2d(WIDTH, len(MAPPED), 1)
        nn.init.constant_(self.maps.bias, -3.0)
        for stage in self.encoder.features[:FROZEN_STAGES]:
            stage.requires_grad_(False)

    def train(self, mode: bool = True) -> "TrunkNet":
        """Switch mode; frozen stages keep their batch statistics."""
        super().train(mode)
        for stage in self.encoder.features[:FROZEN_STAGES]:
            stage.eval()
        return self

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Give score logits and map logits."""
        *_, fine, middle, deepest = self.encoder(image)
        pooled = torch.cat([deepest.mean(dim=(2, 3)), deepest.amax(dim=(2, 3))], dim=1)
        place = self.middle(middle) + _twice(self.deep(deepest))
        place = self.smooth(self.fine(fine) + _twice(place))
        return self.scores(self.dropout(pooled)), self.maps(place)


class ServedNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """What is exported: score logits and map probabilities.

    `mix` says how much each mapped finding's score listens to its map.
    """

    def __init__(self, network: TrunkNet, mix: Mapping[str, float], size: int) -> None:
        super().__init__()
        self.network = network
        self.highest = highest_cells((size // 8) ** 2)
        spread = torch.zeros(len(MAPPED), len(SCORES))
        for row, name in enumerate(MAPPED):
            spread[row, SCORES.index(name)] = mix.get(name, 0.0)
        self.register_buffer("spread", spread)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Give `scores` (N, scores), logits, and `maps` (N, mapped, S/8, S/8) in 0..1."""
        scores, maps = self.network(image)
        return scores + map_scores(maps, self.highest) @ self.spread, maps.sigmoid()


def highest_cells(cells: int) -> int:
    """Say how many of a map's cells make its score."""
    return max(1, int(TOP_SHARE * cells))


def map_scores(maps: Tensor, highest: int) -> Tensor:
    """Score each map by its highest cells, (N, mapped) logits."""
    scores: Tensor = maps.flatten(2).topk(highest, dim=2).values.mean(dim=2)
    return scores


def _mixer(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


def _separable(width: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _twice(maps: Tensor) -> Tensor:
    return nn.functional.interpolate(maps, scale_factor=2.0, mode="bilinear")


def load_encoder(network: TrunkNet, checkpoint: Path) -> None:
    """Start from another task's encoder (a checkpoint with `encoder.` keys)."""
    state = torch.load(checkpoint, weights_only=True)
    prefix = "encoder."
    network.encoder.load_state_dict(
        {name.removeprefix(prefix): value for name, value in state.items() if prefix in name[:8]}
    )


__all__ = ["ServedNet", "TrunkNet"]


__all__ = ["ServedNet", "TrunkNet"]
