"""An int8 variant of a network, written only if it may be."""

# ruff: noqa: T201 -- a command prints its result

import argparse
import importlib
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from dicom_node.domain.errors import BadSettings
from dicom_node.share import MODELS
from pipelines.chest_findings import arrays as findings_arrays
from pipelines.chest_findings import judging
from pipelines.chest_findings.cases import read_cases as read_findings
from pipelines.datasets.catalogue import AUTO, FORMATS
from pipelines.pneumothorax import arrays as pneumothorax_arrays
from pipelines.pneumothorax import judging as pneumothorax
from pipelines.pneumothorax.cases import judges, read_cases
from pipelines.serving.manifest import WEIGHTS, read_input, read_sha256
from pipelines.serving.session import sha256_of
from pipelines.serving.table import FILE_NAME, open_table
from pipelines.training.loop import Marks

CALIBRATING = 48
"""Training images that show the range of each layer's values."""
FIRST_LAYERS = 4
"""Convolutions at the image's side that stay in float32."""
ROUNDS = 15
"""Timed passes of one image through each network, in turns."""
LEAST_GAIN = 1.1
"""Not worth another set of weights below this."""
AUCS = ("auc", "read", "eight", "Abnormal", "Child_Pneumonia")
PLACES = ("dice_0.35", "peaks")
"""What the gate looks at; places may fall by twice the margin, they are fewer."""

Images = NDArray[np.uint8]
Judged = Callable[[nn.Module], Marks]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exam:
    """Training images for the ranges, and a judge on validation images."""

    ranges: Images
    count: int
    judge: Judged


def quantize(arguments: list[str]) -> int:
    """Write OUT/TASK as a challenger if int8 is faster and hardly worse; else say why not."""
    options = _parse(arguments)
    if options.out.exists() and any(options.out.iterdir()):
        raise BadSettings(f"--out {options.out}: not empty; name a new folder")
    folder: Path = options.models / options.task
    root = open_table(folder)
    if "members" in root.values:
        raise BadSettings(f"{root.path}: an ensemble; quantize its members one by one")
    before, size = folder / root.text("weights"), read_input(root.table("input")).size
    exam = EXAMS[options.task](options, size)
    with tempfile.TemporaryDirectory() as name:
        after = Path(name) / WEIGHTS
        _to_int8(before, after, exam.ranges)
        asked = [Asked(path) for path in (before, after)]
        marks = [exam.judge(network) for network in asked]
        gain = _gain(asked, exam.ranges[:1])
        for line in _table(marks, gain):
            print(line)
        if worse := _worse(marks, options.margin):
            print(f"nothing written: {worse} falls by more than the margin ({options.margin:g})")
            return 1
        if gain < LEAST_GAIN:
            print(f"nothing written: {gain:.2f} times as fast here, less than {LEAST_GAIN:g}")
            return 1
        variant = _variant(read_sha256(root), exam.count, marks, gain)
        draft = Path(name) / "models"
        _draft(options, after, draft, variant)
        if wrong := _phantoms(options.task, draft):
            print(f"nothing written: the phantom test fails ({wrong})")
            return 1
        shutil.copytree(draft, options.out, dirs_exist_ok=True)
    print(f"written: {options.out}; let it read beside the model that serves: models shadow")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dicom-node quantize", description=__doc__)
    parser.add_argument("task", choices=sorted(EXAMS), help="whose network (all tasks on it)")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled images")
    parser.add_argument("--format", choices=FORMATS, default=AUTO, help="of --data")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the variant")
    parser.add_argument("--margin", type=float, default=0.005, help="how far an AUC may fall")
    parser.add_argument("--most", type=int, default=1000, help="validation images to judge by")
    return parser.parse_args(arguments)


def _pneumothorax(options: argparse.Namespace, size: int) -> Exam:
    cases = read_cases(options.data, options.format)
    learning = [case for case in cases if case.split == "train" and not case.small]
    arrays = pneumothorax_arrays.decode(_some(learning, CALIBRATING), 0, size, seed=0)
    exam = pneumothorax_arrays.decode(_some(judges(cases), options.most), 0, size, seed=0)
    return Exam(arrays.images, len(exam.images), lambda net: pneumothorax.judge(net, exam))


def _findings(options: argparse.Namespace, size: int) -> Exam:
    cases = read_findings(options.data, options.format)
    learning, judged = ([c for c in cases if c.split == split] for split in ("train", "val"))
    arrays = findings_arrays.decode(_some(learning, CALIBRATING), 0, size)
    exam = findings_arrays.decode(_some(judged, options.most), 0, size)
    return Exam(arrays.images, len(exam.images), lambda net: judging.judge(net, exam))


EXAMS = {"pneumothorax": _pneumothorax, "chest_findings": _findings}


def _some(cases: Sequence[T], most: int) -> list[T]:
    """Take some of the cases, evenly spread; BadSettings if there is none."""
    if not cases:
        raise BadSettings("--data: no training or no validation images; quantizing needs both")
    rows = np.unique(np.linspace(0, len(cases) - 1, min(most, len(cases))).round().astype(int))
    return [cases[row] for row in rows]


class _Ranges(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Hands the images to the quantizer, one by one."""

    def __init__(self, images: Images) -> None:
        self.left: Iterator[Images] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Give the next input; None at the end."""
        image = next(self.left, None)
        return None if image is None else {"image": _input(image[None])}


def _input(images: Images) -> NDArray[np.float32]:
    return images[:, None].astype(np.float32) / np.float32(127.5) - np.float32(1)


def _to_int8(before: Path, after: Path, images: Images) -> None:
    whole = after.with_suffix(".whole.onnx")
    quant_pre_process(str(before), str(whole), skip_symbolic_shape=True)
    quantize_static(
        str(whole),
        str(after),
        _Ranges(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_kept(whole),
    )


def _kept(path: Path) -> list[str]:
    """Name the layers that stay in float32: the first, and those that answer.

    With them in int8 the pneumothorax network's logits moved by about one, and
    its calibration with them.
    """
    nodes = onnx.load(path).graph.node
    layers = [node.name for node in nodes if node.op_type == "Conv"]
    answering = [node.name for node in nodes if node.op_type in ("Gemm", "MatMul")]
    return [*layers[:FIRST_LAYERS], layers[-1], *answering]


class Asked(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """An ONNX file that answers training's judges as its network would."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.nothing = nn.Parameter(torch.zeros(0))
        """Says where the network is: on the processor."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Give the answers, maps (N, ..., h, w) as logits again."""
        answers = [torch.from_numpy(answer) for answer in self.run(image.numpy())]
        return tuple(
            torch.logit(answer, 1e-6) if answer.ndim == 4 else answer for answer in answers
        )

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Give the file's own answers."""
        found: list[NDArray[np.float32]] = self.session.run(None, {"image": batch})
        return found


def _gain(asked: Sequence[Asked], image: Images) -> float:
    """Measure how many times as fast the second is, one image at a time."""
    spent: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for times, network in zip(spent, asked, strict=True):
            started_at = time.perf_counter()
            network.run(_input(image))
            times.append(time.perf_counter() - started_at)
    return statistics.median(spent[0]) / statistics.median(spent[1])


def _table(marks: Sequence[Marks], gain: float) -> Iterator[str]:
    for name in _gated(marks[0]):
        yield f"{name:16} {marks[0][name]:.4f} -> {marks[1][name]:.4f}"
    yield f"{gain:.2f} times as fast on this machine ({platform.machine()}), one image at a time"


def _gated(marks: Mapping[str, float]) -> list[str]:
    return [name for name in (*AUCS, *PLACES) if name in marks]


def _worse(marks: Sequence[Marks], margin: float) -> str:
    """Name what falls too far; BadSettings when nothing can be judged."""
    names = _gated(marks[0])
    if not names:
        raise BadSettings("--data: its validation images lack a positive or a negative")
    lost = {name: marks[0][name] - marks[1][name] for name in names}
    allowed = {name: margin * (2 if name in PLACES else 1) for name in names}
    return ", ".join(name for name in names if lost[name] > allowed[name])


def _variant(sha256: str, images: int, marks: Sequence[Marks], gain: float) -> str:
    """Give the table for model.toml: before and after, on validation."""
    rows = [
        f'"{name}" = {json.dumps([round(one[name], 4) for one in marks])}'
        for name in _gated(marks[0])
    ]
    measured = "\n".join(rows)
    return f"""
[variant]  # written by pipelines/tools/quantize.py: [float32, int8] on {images} validation images
kind = "int8"
of_sha256 = "{sha256}"
speed = {gain:.2f}  # times as fast, one image at a time, {platform.machine()}

[variant.validation]
{measured}
"""


def _draft(options: argparse.Namespace, weights: Path, draft: Path, variant: str) -> None:
    """Write the model folders of every task on this network."""
    source = options.models / options.task
    shared = (source / open_table(source).text("weights")).resolve()
    for path in sorted(options.models.glob(f"*/{FILE_NAME}")):
        root = open_table(path.parent)
        if (path.parent / root.text("weights")).resolve() == shared:
            version = f'version = "{root.text("version")}'
            words = path.read_text().replace(root.text("sha256"), sha256_of(weights))
            (draft / path.parent.name).mkdir(parents=True)
            (draft / path.parent.name / FILE_NAME).write_text(
                words.replace(f'{version}"', f'{version}+int8"', 1) + variant
            )
    shutil.copy(weights, draft / options.task / shared.name)


def _phantoms(task: str, draft: Path) -> str:
    """Let the variant read the phantoms; give what it reads otherwise."""
    pipeline = importlib.import_module(f"pipelines.{task}.pipeline")
    return "; ".join(str(check) for check in pipeline.load(draft, "cpu").verify() if not check.ok)
