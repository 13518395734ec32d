"""What a node knows of its data set besides what it remembers while it runs: nothing, or what a directory tells.

Not here: the looks at the store (shard/data_identity/guard.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sharq_core.store.embedded.data_dir import read_data_id, write_data_id

log = logging.getLogger(__name__)


class NoMemory:
    """A store whose data is nobody's files here: a restart of all nodes forgets what they remembered."""

    def expected_id(self) -> str | None:
        """The id of the data set that should be there at the start; None when it is not known."""
        return None

    def fault(self) -> str | None:
        """What happened to the data under the running store, in words; None for nothing."""
        return None

    def note(self, data_id: str) -> None:
        """This data set was found whole, and again after a while."""


class DirectoryMemory(NoMemory):
    """The data directory of an embedded store, which notes the id beside the data.

    Args:
        fault: says what happened to the directory; None for nothing.
    """

    def __init__(self, data_dir: Path, fault: Callable[[], str | None]) -> None:
        self._data_dir = data_dir
        self._fault = fault

    def expected_id(self) -> str | None:
        return read_data_id(self._data_dir)

    def fault(self) -> str | None:
        return self._fault()

    def note(self, data_id: str) -> None:
        try:
            write_data_id(self._data_dir, data_id)
        except OSError as error:
            log.warning("data_id_not_noted data=%s error=%r", data_id, str(error))
