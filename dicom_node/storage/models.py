"""Keeps the models of a site, and which of them serves.

    <root>/<task>/versions/<digest>/<task>/   model.toml with its weights, never changed
    <root>/<task>/current                     a link to the one that serves; none: the shipped
    <root>/<task>/challenger                  a link to the one that reads in shadow
    <root>/<task>/history.jsonl               every change of `current`

A version is complete and flushed before a link names it, and a link is replaced by
one rename: a reader sees the model before or the model after, nothing between.
"""

import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dicom_node.domain.errors import BadSettings, GiveUp
from dicom_node.domain.operations.models import ModelRef, Switch

Link = Literal["current", "challenger"]
CONTRACT = "model.toml"
HISTORY = "history.jsonl"
VERSIONS = "versions"


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Where a site keeps its models, and where the shipped ones are."""

    root: Path
    shipped: Path


def models_dir(store: ModelStore, task: str, link: Link = "current") -> Path | None:
    """Give the folder whose subfolder `task` is the linked model.

    Without a `current` that is the shipped models' folder; without a challenger
    None. Raises BadSettings for a link that leads nowhere.
    """
    return _models_dir(store, task, link, _target(store, task, link))


def linked(store: ModelStore, task: str, link: Link = "current") -> ModelRef | None:
    """Describe the linked model; None where there is no challenger."""
    name = _target(store, task, link)  # read once: the link may change at any moment
    folder = _models_dir(store, task, link, name)
    return None if folder is None else describe(folder / task, name or "")


def _models_dir(store: ModelStore, task: str, link: Link, name: str | None) -> Path | None:
    if name is None:
        return store.shipped if link == "current" else None
    folder = store.root / task / name
    if not (folder / CONTRACT).is_file():
        raise BadSettings(f"{store.root / task / link}: leads to no model; remove it or roll back")
    return folder.parent


def describe(folder: Path, kept_in: str = "") -> ModelRef:
    """Read a model's identity from its contract; raises BadSettings."""
    contract = _contract(folder)
    return ModelRef(str(contract.get("version", "")), str(contract.get("sha256", "")), kept_in)


def install(store: ModelStore, task: str, source: Path, prove: Callable[[Path], None]) -> ModelRef:
    """Copy a model into the store, durably, once `prove` has found no fault.

    `prove` gets a folder whose subfolder `task` is the copy and raises for a model
    that may not serve. The same model installed twice is one.
    """
    name = f"{VERSIONS}/{hashlib.sha256(_contract_bytes(source)).hexdigest()[:16]}"
    target = store.root / task / name
    if target.exists():
        prove(target)
        return describe(target / task, f"{name}/{task}")
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _in_words():
            _copy(source, staged, task)
        prove(staged)
        with _in_words():
            _flush(staged)
            staged.rename(target)
            _flush_folder(target.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return describe(target / task, f"{name}/{task}")


def switch(store: ModelStore, task: str, link: Link, to: ModelRef | None) -> None:
    """Point a link at an installed model, or at none, in one step.

    The shipped model needs no link, so for it there is none.
    """
    place = store.root / task / link
    with _in_words():
        if to is None or not to.folder:
            place.unlink(missing_ok=True)
        else:
            new = place.with_name(f".{link}.{os.getpid()}")
            new.unlink(missing_ok=True)
            new.symlink_to(to.folder)
            new.replace(place)
        if place.parent.exists():
            _flush_folder(place.parent)


def write_down(store: ModelStore, task: str, change: Switch) -> None:
    """Add a line to the history, durably."""
    words = asdict(change)
    line = {"from": words.pop("before"), "to": words.pop("after"), **words}
    path = store.root / task / HISTORY
    with _in_words():
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        _flush_folder(path.parent)


def history(store: ModelStore, task: str) -> tuple[Switch, ...]:
    """Read every change, the first one first."""
    path = store.root / task / HISTORY
    if not path.exists():
        return ()
    return tuple(_switches(path))


def stamp(store: ModelStore, tasks: Iterable[str]) -> tuple[str | None, ...]:
    """Say what the links of these tasks point at, to notice a change."""
    links: tuple[Link, ...] = ("current", "challenger")
    return tuple(_target(store, task, link) for task in tasks for link in links)


def _switches(path: Path) -> Iterator[Switch]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # half a line: the power went while it was written
            continue
        before, after = ModelRef(**entry.pop("from")), ModelRef(**entry.pop("to"))
        yield Switch(before=before, after=after, **entry)


def _target(store: ModelStore, task: str, link: Link) -> str | None:
    try:
        return str((store.root / task / link).readlink())
    except FileNotFoundError:
        return None
    except OSError:
        place = store.root / task / link
        raise BadSettings(f"{place}: is no link of the model store; remove it") from None


def _contract_bytes(folder: Path) -> bytes:
    try:
        return (folder / CONTRACT).read_bytes()
    except OSError as error:
        raise BadSettings(f"{folder / CONTRACT}: cannot be read: {error.strerror}") from None


def _contract(folder: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_contract_bytes(folder).decode())
    except ValueError as error:
        raise BadSettings(f"{folder / CONTRACT}: not valid TOML: {error}") from None


def _copy(source: Path, staged: Path, task: str) -> None:
    """Copy the folder's files; weights may lie in a sibling's folder, ../OTHER/FILE."""
    shutil.rmtree(staged, ignore_errors=True)
    files = {Path(task) / path.name: path for path in source.iterdir() if path.is_file()}
    weights = Path(str(_contract(source).get("weights", "")))
    if len(weights.parts) == 3 and weights.parts[0] == ".." != weights.parts[1]:
        files[Path(*weights.parts[1:])] = source.resolve().parent.joinpath(*weights.parts[1:])
    for name, path in files.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staged / name)


def _flush(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        _flush_folder(path)


def _flush_folder(path: Path) -> None:
    """Flush a folder's entries, or a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GiveUp(f"model store: {error.filename or ''}: {error.strerror}") from error
