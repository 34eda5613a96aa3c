"""Asks NVIDIA's own tool how busy the GPUs are."""

import shutil
import subprocess

from dicom_node.domain.watch import Gpu

TOOL = "nvidia-smi"
LONGEST_S = 5.0
ASKED = "index,memory.used,memory.total,utilization.gpu"
MIB = 1 << 20


def read_gpus() -> tuple[Gpu, ...]:
    """Give every GPU that the driver shows; none where the tool is missing or fails."""
    program = shutil.which(TOOL)
    if program is None:
        return ()
    command = (program, f"--query-gpu={ASKED}", "--format=csv,noheader,nounits")
    try:
        ended = subprocess.run(  # noqa: S603 - the driver's own tool, fixed arguments
            command, capture_output=True, text=True, timeout=LONGEST_S, check=True
        )
        return tuple(_gpu(line) for line in ended.stdout.splitlines() if line)
    except (OSError, subprocess.SubprocessError, ValueError):
        # ValueError: "[N/A]" of a GPU that does not tell; a metric is no reason to stop
        return ()


def _gpu(line: str) -> Gpu:
    index, used, total, busy = (int(part) for part in line.split(","))
    return Gpu(str(index), used * MIB, total * MIB, busy / 100)
