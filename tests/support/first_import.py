"""Divides the first import of the test modules among the test processes, and keeps the collector of garbage out of it.

pytest rewrites the assertions of each module and keeps the result as bytecode. Every process collects all modules in
the same order, so in a new clone each process would rewrite each module: ten seconds of work in each of them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib

import pytest

_OTHERS = {"chaos", "deploy"}
"""Folders that have runs of their own, with libraries that take seconds to load."""


def pytest_collection(session: pytest.Session) -> None:
    """Import this process's share of the modules, if all are to be collected; the others' shares are kept then, too."""
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    gc.disable()  # all that is made here stays: a sixth of the time went into looking for garbage
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    paths = [path.relative_to(config.rootpath) for path in config.rootpath.glob("tests/**/test_*.py")]
    modules = sorted(".".join(path.with_suffix("").parts) for path in paths if path.parts[1] not in _OTHERS)
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for module in modules[number::count]:
        # The collection imports a module that fails or is skipped again, and reports it.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(module)
