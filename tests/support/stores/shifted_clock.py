"""A wall clock that a test sets, for the servers that are started with it; the machine's own stays as it is."""

from __future__ import annotations

from pathlib import Path

from tests.support.stores.shims import preloaded

_SOURCE = Path(__file__).with_name("clock_shim.c")


class ShiftedClock:
    """The machine's clock and a shift.

    Args:
        folder: gets the file with the shift; outlives the servers.

    Attributes:
        environ: of the servers that go by this clock.
    """

    def __init__(self, folder: Path, shift_s: float = 0.0) -> None:
        self._file = folder / "shift"
        self.set(shift_s)
        self.environ = {**preloaded(_SOURCE), "CLOCK_SHIFT": str(self._file)}

    def set(self, shift_s: float) -> None:
        """Set it so far ahead of the machine's (behind: negative), at once."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(int(shift_s * 1e6)))
        fresh.replace(self._file)
