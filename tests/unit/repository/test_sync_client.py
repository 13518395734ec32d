"""The sync client has the modules that are generated from the async one."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import sharq_client

CLIENTS = Path(__file__).parents[3] / "clients" / "python"


def generator() -> ModuleType:
    """Return the module generate_sync.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generate_sync", CLIENTS / "generate_sync.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().names())
def test_a_module_is_what_the_generator_writes(name: str) -> None:
    text = (CLIENTS / "sharq_client" / "sync" / name).read_text()
    assert text == generator().synchronous(name), "run `make sync-client`"


@pytest.mark.parametrize("name", ["Client", "Control", "Jobs", "Schedules"])
def test_both_clients_have_the_same_methods(name: str) -> None:
    plain, asynchronous = getattr(sharq_client, name), getattr(sharq_client, f"Async{name}")
    methods = {method for method in dir(plain) if not method.startswith("_")}
    assert methods == {method for method in dir(asynchronous) if not method.startswith("_")}
    for method in methods:
        assert not inspect.iscoroutinefunction(getattr(plain, method)), method
