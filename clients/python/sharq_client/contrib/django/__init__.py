"""Runs Django's tasks on SHARQ: a backend for the setting TASKS, and the management command `sharq_worker`.

It needs the extra `django`. The names are imported when they are first used, because Django imports this package as an
app before its settings may be read.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharq_client.contrib.django.backend import SharqBackend
    from sharq_client.contrib.django.handler import SharqTaskContext
    from sharq_client.contrib.django.worker import worker_of

_HOMES = {"SharqBackend": "backend", "SharqTaskContext": "handler", "worker_of": "worker"}
"""The modules of the names; the same as under TYPE_CHECKING."""

__all__ = ["SharqBackend", "SharqTaskContext", "worker_of"]


def __getattr__(name: str) -> object:
    """Import one of the names of _HOMES."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
