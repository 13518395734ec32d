"""Remembers the lengths of an embedded store's append-only files, so that a start detects lost bytes.

A server starts on a file that ends in the middle of a command, and cuts the rest off. It cannot know of a file that was
cut between two commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sharq_core.store.embedded.aof_files import BrokenFiles, files_named

_NAME = "data-sizes"


class CutFile(msgspec.Struct, frozen=True):
    """A file that has lost its end.

    Attributes:
        lost_bytes: as far as is known, at least 1.
        written_s: time of the last write before the start, in seconds since the epoch; 0 for unknown.
    """

    name: str
    lost_bytes: int
    written_s: float

    @property
    def in_words(self) -> str:
        """The loss in a sentence for an operator."""
        at = datetime.fromtimestamp(self.written_s, UTC).isoformat(timespec="seconds")
        when = f" It was last written at {at}." if self.written_s else ""
        return (
            f"the last {self.lost_bytes} bytes of {self.name} are gone: the file was cut off, as in a crash of the "
            f"machine, and the work acknowledged last is lost.{when} Producers may have to send it again"
        )


class _File(msgspec.Struct, frozen=True):
    size: int
    written_s: float


def sizes_now(data_dir: Path) -> dict[str, _File]:
    """Return the files that the manifest names with their lengths; none if it cannot be read."""
    try:
        stats = {part.path.name: part.path.stat() for part in files_named(data_dir)}
    except (OSError, BrokenFiles):
        return {}
    return {name: _File(stat.st_size, stat.st_mtime) for name, stat in stats.items()}


def note_sizes(data_dir: Path) -> None:
    """Note the current lengths of the files; raise OSError on failure."""
    sizes = sizes_now(data_dir)
    if sizes and sizes != read_sizes(data_dir):
        write_sizes(data_dir, sizes)


def write_sizes(data_dir: Path, sizes: Mapping[str, _File]) -> None:
    """Note these lengths, whole or not at all; raise OSError on failure."""
    new = data_dir / f"{_NAME}.new"
    new.write_bytes(msgspec.json.encode(sizes))
    new.chmod(0o600)
    new.replace(data_dir / _NAME)


def read_sizes(data_dir: Path) -> dict[str, _File]:
    """Return the lengths noted last; nothing if there are none or they cannot be read."""
    try:
        return msgspec.json.decode((data_dir / _NAME).read_bytes(), type=dict[str, _File])
    except (OSError, msgspec.MsgspecError):
        return {}


def cut_files(
    noted: Mapping[str, _File], before: Mapping[str, _File], after: Mapping[str, _File]
) -> list[CutFile]:
    """Return the files that have lost bytes.

    Args:
        noted: the lengths noted last.
        before: the lengths before the start.
        after: the lengths once the store has read its files. A file that is only in `noted` was replaced by a newer
            one, or the data with it.
    """
    cut = []
    for name, now in after.items():
        longest = max(noted.get(name, now).size, before.get(name, now).size)
        if longest > now.size:
            written_s = before[name].written_s if name in before else 0.0
            cut.append(CutFile(name, longest - now.size, written_s))
    return cut
