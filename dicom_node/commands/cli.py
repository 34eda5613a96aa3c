"""The command line: `dicom-node COMMAND`.

Each command imports what it needs: the roles start with this module, and a
receiver needs no report builders.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from dicom_node.assembly import parts as node
from dicom_node.assembly.archive import free_bytes
from dicom_node.audit.node import audited_role
from dicom_node.commands import audit, backfill, callers, models, oru, reconcile, requeue
from dicom_node.commands.conformance import command as conformance
from dicom_node.domain.errors import BadSettings, NodeError
from dicom_node.domain.operations.status import without_quotes
from dicom_node.domain.pipeline import Check
from dicom_node.domain.study import Peer
from dicom_node.process import crash_points, supervisor
from dicom_node.process.logs import discreet, start_logs
from dicom_node.process.supervisor import stop_signal, supervise
from dicom_node.roles import ROLES, run_role
from dicom_node.settings.settings import Settings, load_settings

TOOLS = ("train", "evaluate", "quantize", "demo")
"""Commands for developers, who want to see of what they died; no patient is named there."""
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
"""Done; something failed and was named; usage or configuration is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        with nullcontext() if options.command in TOOLS else discreet():
            return run(options)
    except BadSettings as error:
        print(f"dicom-node: {error}", file=sys.stderr)
        return EXIT_USAGE
    except NodeError as error:
        print(f"dicom-node: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        # the reader of our output went away (`| head`); Python must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _settings(options: argparse.Namespace) -> Settings:
    path: Path = options.config
    return load_settings(path)


def _init(options: argparse.Namespace) -> int:
    target: Path = options.folder / "node.toml"
    if target.exists():
        raise BadSettings(f"{target} exists already; edit it, or name another folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    target.write_text((node.SHARE / "config" / "node.toml").read_text(encoding="utf-8"))
    print(f"{target} written. Set the AE titles in it, then: dicom-node check -c {target}")
    return EXIT_OK


def _check(options: argparse.Namespace) -> int:
    from dicom_node.commands import check

    return _print_checks(check.all_checks(_settings(options)))


def _print_checks(lines: Iterable[Check]) -> int:
    failed = 0
    for line in lines:
        print(f"{'ok    ' if line.ok else 'FAILED'}  {line.name}: {line.words}", flush=True)
        failed += not line.ok
    return EXIT_FAILED if failed else EXIT_OK


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    start_logs(settings.logs.format, settings.logs.level, "run")
    node.open_parts(settings, migrate=True).close()
    config = ("-c", str(options.config))
    started = {"receive": ("receive", *config), "deliver": ("deliver", *config)}
    started |= {f"work-{n + 1}": ("work", *config) for n in range(settings.inference.workers)}
    started["console"] = ("console", *config)
    if settings.dicomweb.port:
        started["dicomweb"] = ("dicomweb", *config)
    if settings.orders.port:
        started["orders"] = ("orders", *config)
    with stop_signal() as stop, audited_role(settings, "run"):
        return supervise(started, stop)


def _role(options: argparse.Namespace) -> int:
    settings = _settings(options)
    start_logs(settings.logs.format, settings.logs.level, options.command)
    crash_points.arm(options.command)
    with stop_signal(supervisor.ROLE_DRAIN_S) as stop, audited_role(settings, options.command):
        run_role(options.command, settings, stop)
    return EXIT_OK


def _migrate(options: argparse.Namespace) -> int:
    parts = node.open_parts(_settings(options), migrate=True)
    parts.close()
    print("database is up to date")
    return EXIT_OK


def _analyze(options: argparse.Namespace) -> int:
    from dicom_node.commands import analyze

    start_logs("console", "warning", "analyze")
    results = analyze.analyze(
        options.paths, options.out, tuple(options.pipeline or ()), options.device
    )
    for result in results:
        print(json.dumps(result) if options.json else analyze.in_words(result), flush=True)
    return EXIT_OK


def _send(options: argparse.Namespace) -> int:
    from dicom_node.network.dimse.association import Target
    from dicom_node.network.dimse.files import send_paths
    from dicom_node.network.dimse.options import prepare

    start_logs("console", "error", "send")
    prepare()
    target = Target(_peer(options.to), options.as_title)
    files = send_paths(
        options.paths, target, lambda one: print(f"{one.path}: {one.words}", flush=True)
    )
    sent = sum(one.fate == "arrived" for one in files)
    failed = sum(one.fate == "failed" for one in files)
    print(f"{sent} stored, {failed} failed")
    return EXIT_FAILED if failed or not sent else EXIT_OK


def _peer(text: str) -> Peer:
    title, at, address = text.partition("@")
    host, _, port = address.rpartition(":")
    if not (title and at and host and port.isdigit()):
        raise BadSettings(f"--to {text}: write AETITLE@HOST:PORT, for example PACS@10.0.0.5:104")
    try:
        return Peer("destination", title, host, int(port))
    except ValueError as error:
        raise BadSettings(f"--to {text}: {error}") from None


def _status(options: argparse.Namespace) -> int:
    from dicom_node.commands import status

    settings = _settings(options)
    snapshot, free = node.status_snapshot(settings), free_bytes(settings)
    if not options.quoted:
        snapshot = without_quotes(snapshot)
    if options.json:
        print(json.dumps({**asdict(snapshot), "disk_free_bytes": free}, indent=2))
    else:
        print(status.in_words(snapshot, free))
    return EXIT_OK


def _retry(options: argparse.Namespace) -> int:
    parts = node.open_parts(_settings(options))
    count = parts.ledger.retry(
        delivery_id=options.delivery, job_id=options.job, all_dead=options.all_dead, now=time.time()
    )
    parts.close()
    print(f"{count} made available again")
    return EXIT_OK if count else EXIT_FAILED


def _models(options: argparse.Namespace) -> int:
    from dicom_node.commands import check

    settings = _settings(options) if options.config else Settings()
    if options.action == "verify":
        return _print_checks(check.model_checks(settings))
    for words in check.list_models(settings):
        print(words)
    return EXIT_OK


def _lifecycle(options: argparse.Namespace) -> int:
    for words in models.run(options, _settings(options)):
        print(words, flush=True)
    return EXIT_OK


def _train(options: argparse.Namespace) -> int:
    return _training_tool("pipelines.tools.train", "train", [options.task, *options.rest])


def _evaluate(options: argparse.Namespace) -> int:
    return _training_tool("pipelines.tools.evaluate", "evaluate", [options.task, *options.rest])


def _quantize(options: argparse.Namespace) -> int:
    return _training_tool("pipelines.tools.quantize", "quantize", [options.task, *options.rest])


def _training_tool(module: str, function: str, rest: list[str]) -> int:
    try:
        tool = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise BadSettings(f"{error.name} is missing: pip install 'dicom-node[train]'") from None
    code: int = tool(rest)
    return code


def _demo(options: argparse.Namespace) -> int:
    from dicom_node.commands.demo import demo

    return demo.run(options.images, options.out)


def _choose_dead_letters(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--delivery", type=int, metavar="ID")
    which.add_argument("--job", type=int, metavar="ID")
    which.add_argument("--all-dead", action="store_true")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dicom-node", description="A DICOM node that reads chest radiographs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], words: str, config: bool = False):  # type: ignore[no-untyped-def] # noqa: ANN202 - argparse names its parser type privately
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(run=run)
        if config:
            command.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
        return command

    add("init", _init, "write a commented node.toml to start from").add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="DIR"
    )
    add("check", _check, "validate configuration, models, database, destinations", config=True)
    add("run", _run, "run all roles under one supervisor", config=True)
    for role in ROLES:
        add(role, _role, f"run the role {role} alone", config=True)
    add("migrate", _migrate, "bring the database's schema up to date", config=True)

    command = add("analyze", _analyze, "read image files and write results, without a network")
    command.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--pipeline", action="append", metavar="NAME")
    command.add_argument("--device", default="auto")
    command.add_argument("--json", action="store_true")

    command = add("send", _send, "send DICOM files or folders by C-STORE")
    command.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    command.add_argument("--to", required=True, metavar="AET@HOST:PORT")
    command.add_argument("--as", dest="as_title", default="SENDER", metavar="AET")

    command = add("status", _status, "show queue, outbox, dead letters and senders", config=True)
    command.add_argument("--json", action="store_true")
    words = "show destinations' own words, which may name a patient"
    command.add_argument("--quoted", action="store_true", help=words)

    _choose_dead_letters(add("retry", _retry, "make dead letters available again", config=True))

    for module in (requeue, oru, conformance, backfill, reconcile, callers, audit):
        module.register(commands)
    command = add("models", _models, "list, verify, challenge, promote, roll back models")
    models.add_arguments(command, _lifecycle)

    for name, run, words in (
        ("train", _train, "train a task's model (extra [train])"),
        ("quantize", _quantize, "make a faster int8 variant of a model, if it may be"),
        ("evaluate", _evaluate, "measure a task's model on labelled images"),
    ):
        command = add(name, run, words)
        command.add_argument("task", metavar="TASK")
        command.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")

    command = add("demo", _demo, "a whole hospital on loopback, for a minute")
    command.add_argument("images", type=Path, nargs="*", metavar="IMAGE")
    command.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
