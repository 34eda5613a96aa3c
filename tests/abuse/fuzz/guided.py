"""Fuzzes guided by coverage: `make fuzz MINUTES=10`, or `python -m tests.abuse.fuzz.guided TARGET`.

atheris (libFuzzer) sees which lines of the node and of pydicom an input reaches; the
decoders in C are not instrumented, so there it mutates blindly. What it finds is
written to build/fuzz beside the inputs that reached something new. Needs
`pip install atheris`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # publishes no types

with atheris.instrument_imports(include=["dicom_node", "pydicom"], enable_loader_override=False):
    from tests.abuse.fuzz.__main__ import HANG_S
    from tests.abuse.fuzz.targets import TARGETS, Target

MEMORY_MB = 2048


def main() -> int:
    """Fuzz one target, or one after the other; the exit status tells of a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", choices=[one.name for one in TARGETS])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    wanted = parser.parse_args()
    if wanted.target is None:
        more = ["--seconds", str(wanted.seconds), "--folder", str(wanted.folder)]
        command = [sys.executable, "-m", "tests.abuse.fuzz.guided"]
        ended = [subprocess.run([*command, one.name, *more], check=False) for one in TARGETS]
        return max(abs(one.returncode) for one in ended)
    _fuzz(next(one for one in TARGETS if one.name == wanted.target), wanted.seconds, wanted.folder)
    return 0


def _fuzz(target: Target, seconds: int, folder: Path) -> None:
    """Fuzz until the time is over; libFuzzer ends the process, with 77 for a finding."""
    corpus = folder / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(content)
    words = folder / f"{target.name}.dict"
    quoted = ("".join(f"\\x{byte:02x}" for byte in token) for token in target.tokens)
    words.write_text("".join(f'"{one}"\n' for one in quoted))
    limits = {
        "max_total_time": seconds,
        "timeout": HANG_S,
        "rss_limit_mb": MEMORY_MB,
        "max_len": 1 << 18,
        "dict": words,
        "artifact_prefix": f"{folder}/{target.name}-",
        "print_final_stats": 1,
    }
    flags = [f"-{name}={value}" for name, value in limits.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.feed)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
