"""The table of bounds in docs/security.md says what the code does.

Each row of a table whose last column is "in the code" names there what holds its numbers: a constant or a field's
default by its dotted name, or a setting as `[section] key`. Each number in the row must come from one of them, and each
of them must be in the row.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from sharq_core.config import Key
from sharq_core.config.settings import KINDS

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"
COLUMN = "in the code"
UNITS = {"KiB": 1024, "MiB": 1024**2, "bytes": 1, "s": 1, "ms": 1, "": 1}


def rows() -> list[list[str]]:
    """Return the rows of those tables, cell by cell."""
    found: list[list[str]] = []
    is_inside = False
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[-1] == COLUMN:
            is_inside = True
        elif not cells:
            is_inside = False
        elif is_inside and not set(line) <= set("|-"):
            found.append(cells)
    return found


def value_of(name: str) -> object:
    """Return the value of a dotted name: a constant of a module, or the default of a struct's field.

    Raises:
        ImportError, AttributeError: there is no such thing.
    """
    parts = name.split(".")
    for at in range(len(parts) - 1, 0, -1):
        try:
            owner: object = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:-1]:
            owner = getattr(owner, part)
        if isinstance(owner, type) and issubclass(owner, msgspec.Struct):
            return next(field.default for field in msgspec.structs.fields(owner) if field.name == parts[-1])
        return getattr(owner, parts[-1])
    raise ImportError(name)


def numbers_in(cell: str) -> set[float]:
    """Each number with its unit, in bytes, seconds or pieces."""
    found = re.findall(r"(?<![\w`])(\d[\d,]*(?:\.\d+)?)(?: (KiB|MiB|bytes|s|ms))?(?![\w`])", cell)
    return {float(digits.replace(",", "")) * UNITS[unit] for digits, unit in found}


def test_there_are_rows() -> None:
    assert len(rows()) > 15


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_each_bound_is_that_of_the_code(row: list[str]) -> None:
    bound, named = row[1], re.findall(r"`([^`]+)`", row[-1])
    assert named, "the row names nothing that holds it"
    numbers, held = numbers_in(bound), set[float]()
    for name in named:
        setting = re.fullmatch(r"\[([a-z-]+)\] (\w+)", name)
        if setting is not None:
            assert Key(setting[1], setting[2]) in KINDS, f"{name} is no setting"
            assert f"`{setting[2]}`" in bound, f"the bound does not name {setting[2]}"
            continue
        value = value_of(name)
        if isinstance(value, int | float):
            assert float(value) in numbers, f"{name} is {value}, the row says {bound!r}"
            held.add(float(value))
        else:
            assert isinstance(value, tuple)
            assert all(f"`{word}`" in bound for word in value), f"{name} is {value}, the row says {bound!r}"
    assert numbers == held, f"nothing in the code holds {numbers - held}"
