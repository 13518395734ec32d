"""A disk on which a test sets how long a sync takes, for the servers that are started with it."""

from __future__ import annotations

from pathlib import Path

from tests.support.stores.shims import preloaded

_SOURCE = Path(__file__).with_name("slow_disk_shim.c")


class SlowDisk:
    """The machine's disk, and a delay of each sync of a file.

    Args:
        folder: gets the file with the delay; outlives the servers.

    Attributes:
        environ: of the servers that use this disk.
    """

    def __init__(self, folder: Path, delay_s: float = 0.0) -> None:
        self._file = folder / "delay"
        self.set(delay_s)
        self.environ = {**preloaded(_SOURCE), "SYNC_DELAY": str(self._file)}

    def set(self, delay_s: float) -> None:
        """Let each sync that begins from now on take longer by so much."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(round(delay_s * 1000)))
        fresh.replace(self._file)
