"""Says whether a run is to be full: `make test FULL=1` adds what a quick run leaves out and says where it stands."""

from __future__ import annotations

import os

from tests.support.stores.server import KINDS


def is_full() -> bool:
    """Return True if nothing is to be left out."""
    return os.environ.get("FULL", "0") not in ("", "0")


CHOSEN_KINDS = KINDS if is_full() else KINDS[:1]
"""The stores for a test of what no store decides: every kind in a full run, and one in a quick one."""
