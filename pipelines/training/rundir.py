"""The folder of one training run: configuration, log, best."""

import argparse
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

import torch

from dicom_node.domain.errors import BadSettings

CONFIG, LOG, LAST = "config.json", "log.jsonl", "last.pt"
CACHES = "images-*.npz"
"""Decoded images, which a run may find there already."""
LIBRARIES = ("torch", "segmentation-models-pytorch", "numpy", "pillow", "onnx", "onnxruntime")
FIXED = ("task", "size")
"""What a run that goes on may not change."""


def open_run(task: str, options: argparse.Namespace) -> None:
    """Begin or resume a run in `options.out`; seeds torch and chooses the device.

    Raises BadSettings for a folder that holds another run, or for a device that
    is not there.
    """
    out: Path = options.out
    options.device = choose_device(options.device)
    out.mkdir(parents=True, exist_ok=True)
    held = [path for path in out.iterdir() if not path.match(CACHES)]
    if options.resume and (out / CONFIG).is_file():
        _refuse_changes(task, options)
    elif held and not options.resume:
        raise BadSettings(
            f"--out {out}: not empty ({held[0].name}); give --resume to go on there, "
            "or name a new folder"
        )
    else:
        (out / CONFIG).write_text(json.dumps(_configuration(task, options), indent=2) + "\n")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def choose_device(name: str) -> torch.device:
    """Give the device of a name; BadSettings if it is not there."""
    there = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadSettings(f"--device {name}: want auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda") or (
        device.type == "cuda" and (device.index or 0) >= there
    ):
        raise BadSettings(f"--device {name}: not there ({there} CUDA devices); want auto or cpu")
    return device


def _configuration(task: str, options: argparse.Namespace) -> dict[str, object]:
    device: torch.device = options.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "task": task,
        "options": {key: _plain(value) for key, value in sorted(vars(options).items())},
        "versions": {"python": platform.python_version()}
        | {library: importlib.metadata.version(library) for library in LIBRARIES},
        "commit": _commit(),
        "device": name,
    }


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(option) for option in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _commit() -> str:
    """Name the commit that trains; empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - fixed words
    except OSError:
        return ""
    return told.stdout.strip()


def _refuse_changes(task: str, options: argparse.Namespace) -> None:
    path: Path = options.out / CONFIG
    before = json.loads(path.read_text())
    known = {"task": before["task"], "size": before["options"]["size"]}
    for name, now in zip(FIXED, (task, options.size), strict=True):
        if known[name] != now:
            raise BadSettings(
                f"{path}: {name} was {known[name]}, now it is {now}; "
                "resume with the same, or name a new --out"
            )


def say(out: Path, **words: object) -> None:
    """Append one line to the run's log."""
    with (out / LOG).open("a") as log:
        log.write(json.dumps(words) + "\n")


def read_log(out: Path) -> list[dict[str, object]]:
    """Read the run's log, line by line."""
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def worths(out: Path) -> dict[int, float]:
    """Give what validation thought of each judged step, in order."""
    judged = [line for line in read_log(out) if line["event"] == "judged"]
    return {int(str(line["step"])): float(str(line["worth"])) for line in judged}


def best(out: Path) -> Path:
    """Give the checkpoint that validation liked best; of equals the last."""
    found = worths(out)
    return out / f"average-{max(found, key=lambda step: (found[step], step)):05d}.pt"


def stale(out: Path, patience: int) -> bool:
    """Say whether the last `patience` validations brought nothing better (0: never)."""
    found = list(worths(out).values())
    return 0 < patience < len(found) and max(found[-patience:]) <= max(found[:-patience])
