"""Compare the maps' boxes with those of a small detector head on the same network.

The head finds centres and sizes (Zhou et al., "Objects as Points", 2019) on the
features that the maps are made of, which stay as they are. Nothing of it is
shipped: `dicom-node` serves the maps, whose boxes need no second network.
"""

# ruff: noqa: T201 -- a command prints its result

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dicom_node.domain.findings import Box
from pipelines.chest_findings.boxes import boxes_of
from pipelines.chest_findings.cases import Case, read_cases
from pipelines.chest_findings.codes import MAPPED, SCORES
from pipelines.chest_findings.network import WIDTH, TrunkNet
from pipelines.chest_findings.readings import BoxOwner, marked_boxes, recall_at
from pipelines.datasets.picture import open_grey
from pipelines.geometry import square

COLUMNS = [SCORES.index(name) for name in MAPPED]
SPREAD = 1.5
"""Cells; the centre's bump."""
PEAKS = 3
"""Boxes told per finding and image."""
WRONG_PER_IMAGE = (0.5, 1.0, 2.0)


class Head(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """Centre heat per finding, and width and height at every cell."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Conv2d(WIDTH, 64, 3, padding=1), nn.ReLU(), nn.Dropout2d())
        self.heat = nn.Conv2d(64, len(MAPPED), 1)
        self.size = nn.Conv2d(64, 2, 1)
        nn.init.constant_(self.heat.bias, -4.0)

    def forward(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Give heat logits (N, mapped, h, w) and sizes (N, 2, h, w) in shares of the image."""
        hidden = self.hidden(places)
        return self.heat(hidden), self.size(hidden).sigmoid()


@dataclass(frozen=True, slots=True)
class Lessons:
    """Features of images with boxes, and what the head should say of them."""

    places: Tensor
    heat: Tensor
    weight: Tensor
    """0 where a finding is in the report but nobody boxed it: nothing is known there."""
    size: Tensor
    centres: Tensor


def compare(arguments: list[str]) -> int:
    """Train the head on training boxes, and print both on the validation boxes."""
    parser = argparse.ArgumentParser(prog="detector", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="of chest_findings")
    parser.add_argument("--fraction", type=float, default=0.4, help="where the maps are cut")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    network = TrunkNet().eval()
    network.load_state_dict(torch.load(options.checkpoint, weights_only=True))
    cases = [case for case in read_cases(options.data) if case.boxes]
    learning = [case for case in cases if case.split == "train"]
    judging = [case for case in cases if case.split == "val"]
    head = _train(lessons(network, learning, options.size), options.epochs)
    shown = _places(network, judging, options.size)
    with torch.no_grad():
        maps = network.maps(shown).sigmoid().numpy()
        heat, size = (part.numpy() for part in head(shown))
    by_maps = [
        ((row, name), box)
        for row in range(len(judging))
        for place, name in enumerate(MAPPED)
        for box in boxes_of(maps[row, place], options.fraction)
    ]
    by_head = peaks(1 / (1 + np.exp(-heat)), size)
    for words, told in (("maps", by_maps), ("detector head", by_head)):
        found = marked_boxes(judging, told)
        rows = np.arange(len(judging))
        recalls = [f"{recall_at(found, rows, wrong):.3f}" for wrong in WRONG_PER_IMAGE]
        print(f"{words}: met at {WRONG_PER_IMAGE} wrong boxes an image {', '.join(recalls)}")
    print(f"{len(judging)} validation images, {sum(len(case.boxes) for case in judging)} boxes")
    return 0


def _places(network: TrunkNet, cases: Sequence[Case], size: int) -> Tensor:
    """Give the features (N, width, size / 8, size / 8) that the maps are made of."""
    kept: list[Tensor] = []
    hook = network.smooth.register_forward_hook(lambda _, __, out: kept.append(out))
    with torch.no_grad():
        for case in cases:
            image = square(open_grey(case.image), None, size)[0]
            network(torch.from_numpy(image)[None, None] * 2 - 1)
    hook.remove()
    return torch.cat(kept)


def lessons(network: TrunkNet, cases: Sequence[Case], size: int) -> Lessons:
    """Prepare what the head learns from."""
    places = _places(network, cases, size)
    count, _, high, wide = places.shape
    heat = torch.zeros(count, len(MAPPED), high, wide)
    weight = torch.ones(count, len(MAPPED), 1, 1)
    sizes, centres = torch.zeros(count, 2, high, wide), torch.zeros(count, 1, high, wide)
    rows, columns = torch.arange(high)[:, None] + 0.5, torch.arange(wide)[None] + 0.5
    for number, case in enumerate(cases):
        boxed = {box.label for box in case.boxes}
        for place, column in enumerate(COLUMNS):
            if case.labels[column] != 0 and MAPPED[place] not in boxed:
                weight[number, place] = 0
        for box in case.boxes:
            if box.label not in MAPPED:
                continue
            y, x = (box.y + box.height / 2) * high, (box.x + box.width / 2) * wide
            bump = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * SPREAD**2))
            place = MAPPED.index(box.label)
            heat[number, place] = torch.maximum(heat[number, place], bump)
            at = min(int(y), high - 1), min(int(x), wide - 1)
            heat[number, place, at[0], at[1]] = 1.0
            sizes[number, :, at[0], at[1]] = torch.tensor([box.width, box.height])
            centres[number, 0, at[0], at[1]] = 1.0
    return Lessons(places, heat, weight, sizes, centres)


def _train(lessons: Lessons, epochs: int) -> Head:
    head = Head()
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(lessons.places)).split(32):
            loss = losses(head, lessons, rows)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        schedule.step()
    head.eval()
    return head


def losses(head: nn.Module, lessons: Lessons, rows: Tensor) -> Tensor:
    """Add the focal loss of the centres and the error of the sizes at them."""
    heat, size = head(lessons.places[rows])
    aims = lessons.heat[rows]
    shares = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    right = (aims == 1).float()
    hits = right * (1 - shares) ** 2 * shares.log()
    rest = (1 - right) * (1 - aims) ** 4 * shares**2 * (1 - shares).log()
    count = right.sum().clamp(min=1)
    focal = -(lessons.weight[rows] * (hits + rest)).sum() / count
    gaps = (lessons.centres[rows] * (size - lessons.size[rows]).abs()).sum() / count
    total: Tensor = focal + 5 * gaps
    return total


def peaks(heat: np.ndarray, size: np.ndarray) -> list[tuple[BoxOwner, Box]]:
    """Tell the highest centres of every finding, with the size at their cell."""
    found = []
    tensor = torch.from_numpy(heat)
    tops = (nn.functional.max_pool2d(tensor, 5, stride=1, padding=2) == tensor) * tensor
    high, wide = heat.shape[2:]
    for row in range(len(heat)):
        for place, name in enumerate(MAPPED):
            values, cells = tops[row, place].flatten().topk(PEAKS)
            for value, cell in zip(values.tolist(), cells.tolist(), strict=True):
                y, x = divmod(cell, wide)
                width, height = size[row, :, y, x]
                left, top = (x + 0.5) / wide - width / 2, (y + 0.5) / high - height / 2
                box = Box(float(left), float(top), float(width), float(height), value)
                found.append(((row, name), box))
    return found


if __name__ == "__main__":
    import sys

    raise SystemExit(compare(sys.argv[1:]))
