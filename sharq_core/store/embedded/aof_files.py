"""The append-only files of an embedded store: which there are, which its manifest names, and what a server of the same
kind says of each when it checks them.

A data set is a base file (a snapshot) and increments (the commands since), in the order of a manifest. Not here: the
store that reads and writes them (server.py), and mending them (repair.py).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

FOLDER = "appendonlydir"
"""The servers' own name for it."""

MANIFEST = "appendonly.aof.manifest"
_FILE = re.compile(r"appendonly\.aof\.(?P<number>\d+)\.(?P<kind>base|incr)\.(?:rdb|aof)")
_LINE = re.compile(r"file (?P<name>\S+) seq (?P<number>\d+) type (?P<kind>[bih])(?: .*)?")
_KIND = {"base": "b", "incr": "i"}

_GOOD_UP_TO = re.compile(r"\bok_up_to=(\d+)")
_CHECK_TIMEOUT_S = 3600.0


class BrokenFiles(Exception):
    """The append-only files cannot be read as they are; the message says what is wrong with them."""


class Part(Struct, frozen=True):
    """One file of the data set.

    Attributes:
        kind: b for the base, i for an increment.
        number: counts up, the bases and the increments each.
    """

    path: Path
    kind: str
    number: int

    @property
    def size(self) -> int:
        """Its length in bytes; 0 where it is missing."""
        return self.path.stat().st_size if self.path.exists() else 0


def refuse_silent_loss(data_dir: Path) -> None:
    """Return when a server may be started on the directory. Where only the manifest is missing it would begin anew, in
    the files that are there; where the snapshot is empty it would go on with the commands since.

    Raises:
        BrokenFiles: it is so.
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
    left = [] if path.exists() else files_there(data_dir)
    if left:
        raise BrokenFiles(
            f"{path} is missing, which says which of the {len(left)} files beside it are the data"
        )


def files_there(data_dir: Path) -> list[Part]:
    """Return the base and increment files in the folder, by kind and number, whatever the manifest says."""
    folder = data_dir / FOLDER
    found = [(path, _FILE.fullmatch(path.name)) for path in folder.glob("*")] if folder.is_dir() else []
    parts = [Part(path, _KIND[match["kind"]], int(match["number"])) for path, match in found if match]
    return sorted(parts, key=lambda part: (part.kind, part.number))


def files_named(data_dir: Path) -> list[Part]:
    """Return the base and increment files that the manifest names, in its order; none for a directory without data.

    Raises:
        BrokenFiles: the manifest is missing though there are files, or it cannot be read.
    """
    folder = data_dir / FOLDER
    path = folder / MANIFEST
    _refuse_lost_manifest(data_dir)
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
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
    """Put a manifest in place, whole or not at all; raises OSError."""
    path = data_dir / FOLDER / MANIFEST
    new = path.with_name(f"{MANIFEST}.new")
    lines = (f"file {part.path.name} seq {part.number} type {part.kind}\n" for part in parts)
    new.write_text("".join(lines), encoding="ascii")
    new.replace(path)


def good_bytes(binary: str, part: Part) -> int:
    """Return how many bytes from the file's beginning can be read; all of them when it is whole. Takes about as long as
    the store takes to read it.

    Args:
        binary: the server's program, which checks files when it is called by another name.

    Raises:
        BrokenFiles: it is a snapshot that cannot be read, so nothing of it can be kept.
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
    found = _GOOD_UP_TO.search(done.stdout)
    if is_snapshot or found is None:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise BrokenFiles(f"{part.path} cannot be read: {''.join(last) or 'no reason is given'}")
    return int(found[1])
