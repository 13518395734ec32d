"""The tables of docs/client.md name every method of the clients, with all of its parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from sharq_client import AsyncClient
from sharq_client.aio.control import AsyncControl
from sharq_client.aio.jobs import AsyncJobs
from sharq_client.aio.schedules import AsyncSchedules

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()
UNNAMED = {"page"}
"""Parameters that only tune how a list is read."""

TABLES = [
    (AsyncClient, "The names are the same everywhere.", "`client.jobs` looks after"),
    (AsyncJobs, "`client.jobs` looks after", "`client.control` has the calls"),
    (AsyncControl, "`client.control` has the calls", "`client.control.schedules` has"),
    (AsyncSchedules, "`client.control.schedules` has", "### What a job says"),
]


@pytest.mark.parametrize(("kind", "begin", "end"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_each_method_is_in_its_table_with_its_parameters(kind: type, begin: str, end: str) -> None:
    table = PAGE[PAGE.index(begin) : PAGE.index(end)]
    cells = "\n".join(re.findall(r"^\| (.*?) \| ", table, re.MULTILINE))
    shown: dict[str, str] = {}
    for name, parameters in re.findall(r"`(\w+)\((.*?)\)`", cells):
        shown[name] = f"{shown.get(name, '')}, {parameters}"
    methods = {
        name: set(inspect.signature(method).parameters) - {"self"} - UNNAMED
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    if kind is AsyncClient:
        del methods["close"]  # above the table
    assert shown.keys() == methods.keys()
    for name, parameters in methods.items():
        if "..." not in shown[name].split(", "):
            named = set(re.findall(r"\w+", shown[name]))
            missing = {parameter for parameter in parameters if not _is_named(parameter, named)}
            assert not missing, name


def _is_named(parameter: str, named: set[str]) -> bool:
    """Return whether a parameter, or the value that stands for it such as `JobChange(...)`, is named."""
    return parameter in named or any(word.lower().endswith(parameter) for word in named)
