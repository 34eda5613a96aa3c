"""An ONNX Runtime session for a model folder."""

import hashlib
import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dicom_node.domain.errors import BadSettings, TryAgain
from pipelines.serving.manifest import Manifest

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
SHORTAGE = re.compile(r"(?i)failed to allocate|bad_alloc|out of memory|alloc_failed")
"""How the engine, the C++ library, CUDA and cuBLAS say that memory is short."""


@contextmanager
def _shortage_told() -> Iterator[None]:
    """Turn the engine's error about memory into Python's: it passes, others do not."""
    try:
        yield
    except Exception as error:
        # The engine's own exceptions share no public base class.
        if SHORTAGE.search(str(error)):
            raise MemoryError("the engine found too little memory") from None
        raise


class Runner(Hashable, Protocol):
    """What runs a network, or several that answer as one."""

    @property
    def device(self) -> str:
        """Where it computes, in words."""

    def run(self, image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Give every output for a batch (N, 1, size, size)."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A loaded network, itself only; `device` says in words where it computes."""

    engine: Any
    input_name: str
    output_names: tuple[str, ...]
    device: str

    def run(self, image: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Give every output for a batch (N, 1, size, size); raises MemoryError."""
        with _shortage_told():
            answers = self.engine.run(list(self.output_names), {self.input_name: image})
        return dict(zip(self.output_names, answers, strict=True))


_SHARED: dict[tuple[object, ...], Session] = {}
"""Open sessions by weights, input and device: tasks on one file share one."""


def share_session(manifest: Manifest, device: str = "auto", threads: int = 0) -> Session:
    """Load the weights as `open_session` does, once in a process; raises as it does."""
    weights = manifest.weights.resolve()
    key = (weights, sha256_of(weights), manifest.sha256, manifest.input, device, threads)
    if key not in _SHARED:
        _SHARED[key] = open_session(manifest, device, threads)
    return _SHARED[key]


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal; BadSettings if unreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read ({error.strerror})") from error


def open_session(manifest: Manifest, device: str = "auto", threads: int = 0) -> Session:
    """Load the weights that the manifest vouches for, and warm them up.

    `device` is auto, cpu, cuda or cuda:N; `threads` 0 lets the engine choose.
    Raises BadSettings when the weights are others, when the device is missing
    or when the network does not fit the manifest; TryAgain for too little memory.
    """
    found = sha256_of(manifest.weights)
    if found != manifest.sha256:
        raise BadSettings(
            f"{manifest.weights}: SHA-256 {found[:12]}... is not {manifest.sha256[:12]}... of "
            "model.toml; restore the weights that belong to this manifest"
        )
    providers, words = _providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only; the words below say what was taken
    try:
        with _shortage_told():
            engine = onnxruntime.InferenceSession(
                str(manifest.weights), sess_options=options, providers=providers
            )
    except MemoryError as error:
        raise TryAgain(f"{manifest.weights}: too little memory to load it") from error
    except Exception as error:
        # The engine's own exceptions share no public base class.
        raise BadSettings(f"{manifest.weights}: not a usable network ({error})") from error
    if providers[0] != CPU and engine.get_providers()[0] != CUDA:
        if device != "auto":
            raise BadSettings(
                f"inference.device = {device!r}: the CUDA provider does not start; "
                "check the driver with nvidia-smi, or set device = 'cpu'"
            )
        words = "cpu (the CUDA provider is installed but does not start)"
    session = Session(engine, manifest.input.name, manifest.outputs, words)
    _warm_up(session, manifest)
    return session


def _providers(device: str) -> tuple[list[Any], str]:
    """Choose execution providers, and say what was chosen."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise BadSettings(f"inference.device = {device!r}: use auto, cpu, cuda or cuda:N")
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if kind == "cpu" or (kind == "auto" and not has_cuda):
        return [CPU], "cpu" if kind == "cpu" else "cpu (no CUDA provider installed)"
    if not has_cuda:
        raise BadSettings(
            f"inference.device = {device!r}: onnxruntime here has no CUDA provider; "
            "install dicom-node[gpu] or set device = 'cpu'"
        )
    onnxruntime.preload_dlls()  # CUDA's libraries may be installed as Python packages
    index = int(number or 0)
    return [(CUDA, {"device_id": index}), CPU], f"cuda:{index}"


def _warm_up(session: Session, manifest: Manifest) -> None:
    """Run once, so that the first radiograph does not wait; check the shapes."""
    size = manifest.input.size
    names = {value.name for value in session.engine.get_inputs()}
    outputs = {value.name for value in session.engine.get_outputs()}
    if names != {manifest.input.name} or not outputs.issuperset(manifest.outputs):
        raise BadSettings(
            f"{manifest.weights}: has inputs {sorted(names)} and outputs {sorted(outputs)}, "
            f"model.toml says {manifest.input.name!r} and {list(manifest.outputs)}"
        )
    try:
        session.run(np.zeros((1, 1, size, size), np.float32))
    except MemoryError as error:
        raise TryAgain(f"{manifest.weights}: too little memory to run it") from error
    except Exception as error:
        # The engine's own exceptions share no public base class.
        raise BadSettings(f"{manifest.weights}: does not run at {size} px ({error})") from error
