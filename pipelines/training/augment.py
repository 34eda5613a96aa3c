"""What the tasks' training runs share."""

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

ROTATION_DEGREES = 12.0
SCALE = 0.16
SHIFT = 0.08
SHEAR = 0.06


def learning_rate(progress: float, warm_up: float = 0.1) -> float:
    """One cycle: the share (0..1) of the peak rate at `progress` (0..1)."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warm_up))
    rest = min((progress - warm_up) / (1 - warm_up), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest))


def random_affine(count: int, random: torch.Generator) -> Tensor:
    """Draw (count, 2, 3) maps from output to input coordinates."""

    def draw(spread: float) -> Tensor:
        return (torch.rand(count, generator=random, device=random.device) * 2 - 1) * spread

    angle = draw(math.radians(ROTATION_DEGREES))
    scale_x, scale_y = torch.exp(draw(SCALE)), torch.exp(draw(SCALE))
    mirror = torch.where(draw(1.0) < 0.0, -1.0, 1.0)
    shear = draw(SHEAR)
    cosine, sine = angle.cos(), angle.sin()
    rows = [
        torch.stack([mirror * scale_x * cosine, shear - scale_y * sine, draw(SHIFT)], dim=1),
        torch.stack([mirror * scale_x * sine, scale_y * cosine, draw(SHIFT)], dim=1),
    ]
    return torch.stack(rows, dim=1)


def warp(
    images: Tensor, masks: Tensor, size: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Turn, stretch and mirror a batch, image and mask alike, to `size`."""
    maps = random_affine(len(images), random)
    grid = nn.functional.affine_grid(maps, [len(images), 1, size, size], align_corners=False)
    both = torch.cat([images, masks], dim=1)
    warped = nn.functional.grid_sample(both, grid, align_corners=False)
    return warped[:, :1], (warped[:, 1:] > 0.5).float()


def _blur(images: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)


def photograph(images: Tensor, random: torch.Generator) -> Tensor:
    """Vary exposure, contrast, sharpness and noise of a 0..1 batch."""

    def draw(low: float, high: float) -> Tensor:
        shares = torch.rand(len(images), 1, 1, 1, generator=random, device=random.device)
        return shares * (high - low) + low

    images = images.clamp(1e-4, 1.0) ** torch.exp(draw(-0.5, 0.5))
    images = (images - 0.5) * draw(0.75, 1.25) + 0.5 + draw(-0.12, 0.12)
    # From a soft film to the edge enhancement of a digital detector.
    images = images + draw(-0.6, 1.0) * (images - _blur(images))
    noise = torch.randn(images.shape, generator=random, device=random.device)
    images = images + noise * draw(0.0, 0.03)
    return images.clamp(0.0, 1.0)


def equalise(images: Tensor, random: torch.Generator, share: float) -> Tensor:
    """Flatten the histograms of a share of a 0..1 batch (N, 1, h, w)."""
    if share <= 0:
        return images
    flat = images.flatten(1).contiguous()
    ranks = torch.searchsorted(flat.sort(dim=1).values, flat, right=True).float() / flat.shape[1]
    chosen = torch.rand(len(images), 1, generator=random, device=random.device) < share
    return torch.where(chosen, ranks, flat).reshape(images.shape)


def write_markers(images: Tensor, random: torch.Generator, chance: float = 0.3) -> Tensor:
    """Burn letter-like blocks and dark borders in, which must mean nothing."""
    size = images.shape[-1]
    images = images.clone()
    for image in images:
        if _chance(random) < chance:
            glyph = (_shares(5, 4 * 3, random) < 0.55).float()
            scale = _whole(1, max(2, size // 80), random)
            glyph = glyph.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
            rows, columns = glyph.shape
            top, left = _whole(0, size - rows, random), _whole(0, size - columns, random)
            if not size // 4 < top < size * 3 // 4:  # letters lie above or below the lungs
                spot = image[0, top : top + rows, left : left + columns]
                torch.maximum(spot, glyph, out=spot)
        if _chance(random) < chance / 2:
            width = _whole(1, max(2, size // 16), random)
            level = float(_chance(random) < 0.3)
            torch.rot90(image[0], _whole(0, 4, random))[:width] = level
    return images


def _shares(rows: int, columns: int, random: torch.Generator) -> Tensor:
    return torch.rand(rows, columns, generator=random, device=random.device)


def _chance(random: torch.Generator) -> float:
    return float(_shares(1, 1, random))


def _whole(low: int, high: int, random: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=random, device=random.device))


def augment(
    images: Tensor, masks: Tensor, size: int, random: torch.Generator, flattened: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Make a batch (N, 1, h, w) of 0..1 into one to learn from.

    `flattened` is the share of images whose histogram is equalised.
    """
    images, masks = warp(images, masks, size, random)
    images = equalise(images, random, flattened)
    return write_markers(photograph(images, random), random), masks


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Soft Dice loss per image, shape (N,)."""
    shares = logits.sigmoid()
    overlap = (shares * masks).sum(dim=(1, 2, 3))
    total = shares.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    return 1 - (2 * overlap + 1) / (total + 1)


class Average:
    """A running average of a network's weights."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self.updates = 0

    def update(self, network: nn.Module) -> None:
        """Take the network's weights in; early on they count for more."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        target = self.network.state_dict()
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                target[name].lerp_(tensor.detach(), 1 - decay)
            else:
                target[name].copy_(tensor)


def average_weights(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Average several checkpoints of one run."""
    members = list(states)
    mean = {name: tensor.clone() for name, tensor in members[0].items()}
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.stack([member[name] for member in members]).mean(dim=0))
    return mean
