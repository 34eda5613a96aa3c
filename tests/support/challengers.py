"""Challengers made of the shipped pneumothorax model by another calibration."""

import math
import re
import shutil
from pathlib import Path

from tests.support.paths import ROOT

SHIPPED = ROOT / "models" / "pneumothorax"


def challenger(folder: Path, shift: float, version: str = "9.9.9", honest: bool = True) -> Path:
    """Copy the shipped model with `shift` more log odds in every answer.

    An `honest` one says so in its phantom references, so that it verifies.
    """
    folder.mkdir(parents=True)
    shutil.copyfile(SHIPPED / "model.onnx", folder / "model.onnx")
    text = (SHIPPED / "model.toml").read_text()
    text = re.sub(r'(?m)^version = ".*"', f'version = "{version}"', text)
    text, calibrations = re.subn(
        r"(?m)^intercept = (.*)$", lambda found: f"intercept = {float(found[1]) + shift}", text
    )
    assert calibrations == 1
    if honest:
        text = re.sub(
            r"(?m)^probability = (.*)$",
            lambda found: f"probability = {_shifted(float(found[1]), shift):.6f}",
            text,
        )
    (folder / "model.toml").write_text(text)
    return folder


def _shifted(probability: float, shift: float) -> float:
    exponent = -(math.log(probability / (1 - probability)) + shift)
    return 1 / (1 + math.exp(min(max(exponent, -700.0), 700.0)))
