"""What the program needs beside its code: models, the configuration's template, dashboards.

In the repository links lead to `models/` and `config/`; a wheel holds copies of them.
"""

import subprocess
from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
MODELS, CONFIG = FOLDER / "models", FOLDER / "config"
COMMIT = FOLDER / "commit"
"""Written when a wheel is built (setup.py)."""


def commit() -> str:
    """Say of which commit the program is, `-dirty` if files differ; empty: unknown."""
    if COMMIT.is_file():
        return COMMIT.read_text(encoding="utf-8").strip()
    root = FOLDER.parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - no shell, no caller's words
    except (OSError, subprocess.CalledProcessError):  # no git, or somebody else's checkout
        return ""
    return said.stdout.strip()
