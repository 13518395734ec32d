"""Finds the worker that `module:name` means, and says what is wrong if there is none."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from sharq_client.cli.exits import Exit, Failed
from sharq_client.worker.worker import Worker


def worker_of(target: str) -> Worker:
    """Return the worker that a target means. The current directory is on the path of modules.

    Args:
        target: `module:name`, or `module` if it has one worker.

    Raises:
        Failed: there is no such module, it cannot be imported, or it has no such worker.
    """
    module_name, _, name = target.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise Failed(f"{target}: expected module:name, such as app:worker", Exit.USAGE)
    if module_name.endswith(".py"):  # importing app.py would run app, and then find no module named py in it
        raise Failed(f"{target}: expected the name of a module, without .py at its end", Exit.USAGE)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name)
    return _named(module, name) if name else _only(module)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Without the package of a module, there is no module either.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            missing = f"there is no module {error.name} in {Path.cwd()}, and none is installed"
            raise Failed(f"{name}: {missing}", Exit.NOT_FOUND) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> Failed:
    """Return the failure for a module that raises when it is imported, with the place in the user's files."""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}, line {error.lineno})"
        return Failed(f"{name} cannot be imported: {type(error).__name__}: {error.msg}{place}")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
    ]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return Failed(f"{name} cannot be imported: {type(error).__name__}: {error}{place}. --debug shows more")


def _named(module: ModuleType, name: str) -> Worker:
    value: object = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise Failed(f"{module.__name__} has no {name!r}{_workers_in_words(module)}", Exit.NOT_FOUND)
        value = getattr(value, part)
    if not isinstance(value, Worker):
        type_name = type(value).__name__
        hint = "; a handler is registered with @worker.handler" if callable(value) else ""
        raise Failed(
            f"{module.__name__}:{name} is no Worker but a {type_name}{hint}{_workers_in_words(module)}",
            Exit.USAGE,
        )
    return value


def _only(module: ModuleType) -> Worker:
    workers = _workers(module)
    if len(workers) != 1:
        problem = "has no Worker" if not workers else "has several workers"
        raise Failed(
            f"{module.__name__} {problem}; expected module:name{_workers_in_words(module)}", Exit.USAGE
        )
    return next(iter(workers.values()))


def _workers(module: ModuleType) -> dict[str, Worker]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Worker)}


def _workers_in_words(module: ModuleType) -> str:
    names = sorted(_workers(module))
    return f"; it has {', '.join(names)}" if names else ""
