"""Lists the append-only files of an embedded store, reads and writes its manifest, and checks the files.

The server's own program checks them. A data set is a base file (a snapshot) and increments (the commands since), in the
order of a manifest.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

FOLDER = "appendonlydir"
"""The name that the servers give this folder."""

MANIFEST = "appendonly.aof.manifest"
_FILE = re.compile(r"appendonly\.aof\.(?P<number>\d+)\.(?P<kind>base|incr)\.(?:rdb|aof)")
_LINE = re.compile(r"file (?P<name>\S+) seq (?P<number>\d+) type (?P<kind>[bih])(?: .*)?")
_KIND = {"base": "b", "incr": "i"}

_GOOD_UP_TO = re.compile(r"\bok_up_to=(\d+)")
_CHECK_TIMEOUT_S = 3600.0


class BrokenFiles(Exception):
    """Append-only files that cannot be read as they are; the message says what is wrong."""


class Part(Struct, frozen=True):
    """One file of the data set.

    Attributes:
        kind: b for the base, i for an increment.
        number: counts up, separately for bases and increments.
    """

    path: Path
    kind: str
    number: int

    @property
    def size(self) -> int:
        """The file's length in bytes; 0 if it is missing."""
        return self.path.stat().st_size if self.path.exists() else 0


def refuse_silent_loss(data_dir: Path) -> None:
    """Raise BrokenFiles if a server that starts on the directory would silently lose data.

    If only the manifest is missing, the server would begin anew in the existing files. If the snapshot is empty, it
    would continue with the commands since.

    Raises:
        BrokenFiles: the manifest is missing beside data files, or the snapshot is empty.
    """
    _refuse_lost_manifest(data_dir)
    try:
        parts = files_named(data_dir)
    except BrokenFiles:
        return  # The server says what is wrong with its manifest.
    for part in parts:
        if part.kind == "b" and part.path.exists() and part.size == 0:
            raise BrokenFiles(f"{part.path} is empty, and it should hold a snapshot of the data")


def _refuse_lost_manifest(data_dir: Path) -> None:
    path = data_dir / FOLDER / MANIFEST
    files = [] if path.exists() else files_there(data_dir)
    if files:
        raise BrokenFiles(
            f"the manifest {path} is missing, and it says which of the {len(files)} files beside it are the data"
        )


def files_there(data_dir: Path) -> list[Part]:
    """Return the base and increment files in the folder, by kind and number, whatever the manifest says."""
    folder = data_dir / FOLDER
    matches = [(path, _FILE.fullmatch(path.name)) for path in folder.glob("*")] if folder.is_dir() else []
    parts = [Part(path, _KIND[match["kind"]], int(match["number"])) for path, match in matches if match]
    return sorted(parts, key=lambda part: (part.kind, part.number))


def files_named(data_dir: Path) -> list[Part]:
    """Return the base and increment files that the manifest names, in its order; none for a directory without data.

    Raises:
        BrokenFiles: the manifest is missing beside data files, or it cannot be read.
    """
    folder = data_dir / FOLDER
    path = folder / MANIFEST
    _refuse_lost_manifest(data_dir)
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BrokenFiles(f"{path} cannot be read: {reason}") from error
    matches = [_LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    parts = [
        Part(folder / match["name"].strip('"'), match["kind"], int(match["number"]))
        for match in matches
        if match is not None
    ]
    if not parts or len(parts) != len(matches):
        raise BrokenFiles(f"{path} is broken: it does not name the files of the data")
    return [part for part in parts if part.kind != "h"]


def write_manifest(data_dir: Path, parts: Sequence[Part]) -> None:
    """Write a manifest, whole or not at all; raise OSError on failure."""
    path = data_dir / FOLDER / MANIFEST
    new = path.with_name(f"{MANIFEST}.new")
    lines = (f"file {part.path.name} seq {part.number} type {part.kind}\n" for part in parts)
    new.write_text("".join(lines), encoding="ascii")
    new.replace(path)


def good_bytes(binary: str, part: Part) -> int:
    """Return the number of readable bytes from the file's beginning; all of them if the file is whole.

    It takes about as long as the store takes to read the file.

    Args:
        binary: the server's program; called by another name, it checks files.

    Raises:
        BrokenFiles: the file is a snapshot that cannot be read, so nothing of it can be kept.
    """
    is_snapshot = part.path.suffix == ".rdb"
    name = "valkey-check-rdb" if is_snapshot else "valkey-check-aof"
    done = subprocess.run(
        [name, str(part.path)],
        executable=binary,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_CHECK_TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0:
        return part.size
    good_up_to = _GOOD_UP_TO.search(done.stdout)
    if is_snapshot or good_up_to is None:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise BrokenFiles(f"{part.path} cannot be read: {''.join(last) or 'no reason is given'}")
    return int(good_up_to[1])
