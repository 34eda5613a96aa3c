"""What a training starts from: checkpoints, or a shipped network."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from dicom_node.domain.errors import BadSettings
from dicom_node.share import MODELS
from pipelines.datasets.catalogue import AUTO, OWN, detect
from pipelines.serving.manifest import WEIGHTS
from pipelines.training.augment import average_weights

C = TypeVar("C")
MEASURED = 64
"""Films on which batch statistics are measured."""
ALIKE = 1e-2
"""A network taken over answers as the ONNX file does, but for rounding."""


def shipped(task: str) -> Path:
    """Give the installed network of a task."""
    return MODELS / task / WEIGHTS


def cases_of(options: argparse.Namespace, read: Callable[[Path, str], Sequence[C]]) -> list[C]:
    """Read the cases of `--data` and of `--from-feedback`; none without either."""
    cases = [*read(options.data, options.format)] if options.data else []
    return [*cases, *(read(options.from_feedback, "feedback") if options.from_feedback else ())]


def weights_of(words: Sequence[str], known: Mapping[str, float]) -> dict[str, float]:
    """Read `SOURCE=WEIGHT` words over the known weights; raises BadSettings."""
    weights = dict(known)
    for word in words:
        source, _, number = word.partition("=")
        if source not in known:
            raise BadSettings(f"--weigh {word}: {source!r} is none of {', '.join(known)}")
        try:
            weights[source] = float(number)
        except ValueError:
            raise BadSettings(f"--weigh {word}: want SOURCE=WEIGHT, like {source}=0.5") from None
        if not 0 <= weights[source] <= 100:
            raise BadSettings(f"--weigh {word}: a weight is 0 to 100")
    return weights


def sources_of(options: argparse.Namespace, own: Sequence[str]) -> list[str]:
    """Say in the release's words what a model was trained on; nothing for `own` alone."""
    told: list[str] = []
    if options.data:
        form = detect(options.data) if options.format == AUTO else options.format
        told += own if form == OWN else [f"{form} data set in folder {options.data.name}"]
    if options.from_feedback:
        told.append(f"corrected cases of this site in folder {options.from_feedback.name}")
        told += [] if options.start else ["the shipped model, as the start"]
    if told == list(own):
        return []
    told = told or ["digital phantoms of pipelines/phantom"]
    return [word for text in told for word in ("--source", text)]


def load_start(network: nn.Module, served: nn.Module, start: Sequence[Path], size: int) -> None:
    """Fill a network from averaged checkpoints of one run, or from one ONNX file.

    `served` is what was exported of the network, whose first image-sized answer is
    compared with the file's. Raises BadSettings when the weights do not fit.
    """
    for path in start:
        if not path.is_file():
            raise BadSettings(f"--start {path}: no such file; name a .pt checkpoint or a .onnx")
    if start[0].suffix == ".onnx":
        if len(start) > 1:
            raise BadSettings("--start: one ONNX file, or several checkpoints of one run")
        load_onnx(network, served, start[0], size)
        return
    try:
        states = [torch.load(path, weights_only=True, map_location="cpu") for path in start]
        network.load_state_dict(average_weights(states))
    except (RuntimeError, KeyError, AttributeError) as error:
        words = str(error).splitlines()[0]
        raise BadSettings(
            f"--start {start[0]}: does not fit this task's network ({words})"
        ) from None


def load_onnx(network: nn.Module, served: nn.Module, path: Path, size: int) -> None:
    """Take the weights of an exported network over, layer by layer in order.

    The export folds batch normalisation into the convolution before it: the
    convolution gets the folded weights, the normalisation becomes the identity
    with the folded bias. Such a network learns on with `loop.hold_norms` only.
    """
    graph = onnx.load(path).graph
    held = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    layers = [
        [held[name] for name in node.input[1:]]
        for node in graph.node
        if node.op_type in ("Conv", "Gemm")
    ]
    side = graph.input[0].type.tensor_type.shape.dim[-1].dim_value or size
    example = torch.zeros(1, 1, side, side)
    order = _in_order(served.eval(), example)
    weighed = [n for n, module in enumerate(order) if not isinstance(module, nn.BatchNorm2d)]
    if len(weighed) != len(layers):
        raise _other(path, f"{len(layers)} layers, not {len(weighed)}")
    with torch.no_grad():
        for place, weights in zip(weighed, layers, strict=True):
            after = order[place + 1] if place + 1 < len(order) else None
            norm = after if isinstance(after, nn.BatchNorm2d) else None
            _fill(path, order[place], norm, weights)
    _compare(path, served, side)


def refresh_norms(
    network: nn.Module, start: Path, films: NDArray[np.uint8], options: argparse.Namespace
) -> None:
    """Measure batch statistics on some films (N, side, side), where the start has none."""
    if start.suffix == ".onnx":
        rows = np.random.default_rng(options.seed).choice(len(films), min(MEASURED, len(films)))
        images = torch.from_numpy(films[rows])[:, None].float() / 255
        renormalise(network, nn.functional.interpolate(images, size=options.size) * 2 - 1)


def renormalise(network: nn.Module, images: Tensor) -> None:
    """Give batch statistics back to a network whose export had folded them away.

    Each normalisation measures what comes in on some images (N, 1, H, W); its scale
    and offset change so that the network answers as before, and learns on as one
    that was never folded.
    """
    norms = [norm for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    network.eval()
    with torch.no_grad():
        network(images.to(next(network.parameters()).device))
    for hook in hooks:
        hook.remove()


def _measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))
    before = norm.weight / (norm.running_var + norm.eps).sqrt()
    norm.bias.add_(before * (mean - norm.running_mean))
    norm.weight.copy_(before * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _in_order(network: nn.Module, example: Tensor) -> list[nn.Module]:
    """List the layers with weights as they run."""
    order: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    hooks = [
        module.register_forward_hook(lambda layer, *_: order.append(layer))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return order


def _fill(path: Path, layer: nn.Module, norm: nn.Module | None, weights: Sequence[Tensor]) -> None:
    if layer.weight.shape != weights[0].shape:
        raise _other(path, f"a layer of {tuple(weights[0].shape)}, not {tuple(layer.weight.shape)}")
    layer.weight.copy_(weights[0])
    bias = weights[1] if len(weights) > 1 else torch.zeros(len(weights[0]))
    if norm is None:
        if layer.bias is not None:
            layer.bias.copy_(bias)
        return
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(bias)


def _compare(path: Path, served: nn.Module, size: int) -> None:
    """Check that both answer alike, so that no layer was mistaken for another."""
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run([_map_name(session)], {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        told = next(answer for answer in served(image) if answer.ndim == 4).numpy()
    if told.shape != wanted.shape or float(np.abs(told - wanted).max()) > ALIKE:
        raise _other(path, "other answers from the same weights")


def _map_name(session: onnxruntime.InferenceSession) -> str:
    return next(str(output.name) for output in session.get_outputs() if len(output.shape) == 4)


def _other(path: Path, words: str) -> BadSettings:
    return BadSettings(f"--start {path}: {words}; give --start CHECKPOINT.pt")
