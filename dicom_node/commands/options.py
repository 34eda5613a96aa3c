"""What the options of several commands have in common."""

from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from dicom_node.domain.errors import BadSettings

VARIABLE = "DICOM_NODE_CONFIG"
USUAL = Path("/etc/dicom-node/node.toml")
"""Where the configuration is looked for last."""

Body = Callable[..., int | None]
"""What a command does; gives the exit code, None for 0."""
PATH: click.Path = click.Path(path_type=Path)


def config_option(*, needed: bool = True) -> Callable[[Body], Body]:
    """Give a command `-c FILE`; if not `needed` its `config` may be None.

    Without -c that is the file of $DICOM_NODE_CONFIG, or the usual one where there is
    one. Raises BadSettings for a command that needs a configuration and has none.
    """

    def found(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
        if path is not None or ctx.resilient_parsing:
            return path
        if USUAL.exists():
            return USUAL
        if needed:
            raise BadSettings(
                f"no configuration: name one by -c FILE or ${VARIABLE}, "
                f"or write the usual one: dicom-node init {USUAL.parent}"
            )
        return None

    return click.option(
        "-c",
        "--config",
        type=PATH,
        metavar="FILE",
        envvar=VARIABLE,
        callback=found,
        help=f"the configuration; else ${VARIABLE}, else {USUAL}",
    )


def one_of(*names: str, needed: bool = False) -> None:
    """Raise UsageError if several of these options are given, or none and one is `needed`."""
    source = click.get_current_context().get_parameter_source
    given = [name for name in names if source(name) is ParameterSource.COMMANDLINE]
    if len(given) > 1 or (needed and not given):
        options = ", ".join("--" + name.replace("_", "-") for name in names)
        raise click.UsageError(f"Give {'one' if needed else 'only one'} of {options}.")
