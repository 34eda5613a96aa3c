"""Measure a task's model: each task knows how."""

import importlib
import importlib.util

from dicom_node.domain.errors import BadSettings


def evaluate(arguments: list[str]) -> int:
    """Print the tables of a task's model; BadSettings for a task that has no evaluation."""
    task = arguments[0] if arguments else ""
    if not task.isidentifier() or not importlib.util.find_spec(f"pipelines.{task}"):
        raise BadSettings(f"evaluate {task}: no such task")
    module = f"pipelines.{task}.evaluation"
    if not importlib.util.find_spec(module):
        raise BadSettings(f"evaluate {task}: this task has no evaluation")
    return int(importlib.import_module(module).evaluate(arguments[1:]))
