"""Divides the first import of the test modules among processes, and keeps the collector of garbage out of it.

pytest rewrites the assertions of each module and keeps the result as bytecode: ten seconds of work in a new clone.
Every process of pytest-xdist collects all modules in the same order, so each one would do all of it. Forks (forks.py)
are made after the collection, by one process: one more, which ends before it, takes half of that work.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from collections.abc import Sequence

import pytest

from tests.support.forks import count_of_forks

_OTHERS = {"chaos", "deploy"}
"""Folders that have runs of their own, with libraries that take seconds to load."""


def pytest_collection(session: pytest.Session) -> None:
    """Import this process's share of the modules, if all are to be collected; the others' shares are kept then, too."""
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None and not count_of_forks(config):
        return
    gc.disable()  # all that is made here stays: a sixth of the time went into looking for garbage
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    paths = [path.relative_to(config.rootpath) for path in config.rootpath.glob("tests/**/test_*.py")]
    modules = sorted(".".join(path.with_suffix("").parts) for path in paths if path.parts[1] not in _OTHERS)
    if worker is not None:
        number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
        _import(modules[number::count])
        return
    helper = os.fork()
    if helper == 0:
        try:
            _import(modules[1::2])
        finally:
            os._exit(0)
    _import(modules[::2])
    os.waitpid(helper, 0)


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        # The collection imports a module that fails or is skipped again, and reports it.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(module)
