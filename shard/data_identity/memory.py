"""The knowledge of the data set that outlives the process: none, or the id in a data directory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sharq_core.store.embedded.data_dir import read_data_id, write_data_id

log = logging.getLogger(__name__)


class NoMemory:
    """The memory for a store without local files: a restart of all nodes forgets the data set's id."""

    def expected_id(self) -> str | None:
        """Return the id of the data set that should be there at the start; None if it is not known."""
        return None

    def fault(self) -> str | None:
        """Return a description of what happened to the data under the running store; None for nothing."""
        return None

    def note(self, data_id: str) -> bool:
        """Store the id of a data set that was found whole more than once; return False to be asked again."""
        del data_id
        return True


class DirectoryMemory(NoMemory):
    """The memory of an embedded store: its data directory keeps the id beside the data.

    Args:
        fault: returns a description of what happened to the directory; None for nothing.
    """

    def __init__(self, data_dir: Path, fault: Callable[[], str | None]) -> None:
        self._data_dir = data_dir
        self._fault = fault
        self._has_failed = False

    def expected_id(self) -> str | None:
        """Return the id that the directory holds; None if it holds none."""
        return read_data_id(self._data_dir)

    def fault(self) -> str | None:
        """Return a description of what happened to the directory; None for nothing."""
        return self._fault()

    def note(self, data_id: str) -> bool:
        """Write the id into the directory; a failure is logged once, because the store itself still works."""
        try:
            write_data_id(self._data_dir, data_id)
        except OSError as error:
            if not self._has_failed:
                log.warning("data_id_not_noted data=%s error=%r: trying again", data_id, str(error))
            self._has_failed = True
            return False
        self._has_failed = False
        return True
