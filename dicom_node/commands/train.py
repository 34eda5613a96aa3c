"""Hand a training tool its arguments: train, evaluate, quantize."""

from importlib import import_module

import click

from dicom_node.domain.errors import BadSettings


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("task")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="...")
@click.pass_context
def _tool(ctx: click.Context, task: str, rest: tuple[str, ...]) -> int:
    """Run the tool that the command is named after; raises BadSettings."""
    name = str(ctx.info_name)
    try:
        # by its dotted path: the service does not import pipelines
        module = import_module(f"pipelines.tools.{name}")
    except ModuleNotFoundError as error:
        raise BadSettings(f"{error.name} is missing: pip install 'dicom-node[train]'") from None
    code: int = getattr(module, name)([task, *rest])
    return code


train = evaluate = quantize = _tool
