"""`model.toml` as tables that name file and key when a value is wrong."""

import math
import tomllib
from pathlib import Path

from dicom_node.domain.errors import BadSettings

FILE_NAME = "model.toml"


class Table:
    """A TOML table that names file and key when a value is wrong."""

    def __init__(self, path: Path, values: object, where: str = "") -> None:
        if not isinstance(values, dict):
            raise BadSettings(f"{path}: [{where}] must be a table; restore the shipped model.toml")
        self.path, self.values, self.where = path, values, where

    def wrong(self, key: str, words: str) -> BadSettings:
        """Make the error for a key."""
        name = f"{self.where}.{key}" if self.where else key
        return BadSettings(f"{self.path}: {name} {words}; restore the model's own {FILE_NAME}")

    def _get(self, key: str) -> object:
        if key not in self.values:
            raise self.wrong(key, "is missing")
        return self.values[key]

    def text(self, key: str) -> str:
        """Read a text that is not empty."""
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "must be a text")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Read a number within bounds."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "must be a number")
        if not low <= value <= high:
            raise self.wrong(key, f"is {value}, outside {low:g} to {high:g}")
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """Read a whole number within bounds."""
        value = self.number(key, low, high)
        if value != int(value):
            raise self.wrong(key, "must be a whole number")
        return int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts."""
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.wrong(key, "must be a list of texts")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Read a list of numbers."""
        value = self._get(key)
        if not isinstance(value, list) or not all(
            isinstance(number, int | float) for number in value
        ):
            raise self.wrong(key, "must be a list of numbers")
        return tuple(map(float, value))

    def table(self, key: str) -> "Table":
        """Read a table inside this one."""
        name = f"{self.where}.{key}" if self.where else key
        return Table(self.path, self._get(key), name)

    def tables(self, key: str) -> list["Table"]:
        """Read a list of tables."""
        value = self._get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, "must be a list of tables")
        return [
            Table(self.path, entry, f"{self.where}.{key}[{n}]") for n, entry in enumerate(value)
        ]


def open_table(folder: Path) -> Table:
    """Read a model folder's `model.toml` as a table; raises BadSettings."""
    path = folder / FILE_NAME
    try:
        return Table(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadSettings(
            f"{path}: no such file; set node.models_dir to a folder of models"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: not valid TOML ({error})") from error
