"""Repairs the append-only files of an embedded store: plans the repair, describes the loss, and carries it out.

Two faults can be repaired. An unreadable end (zeros or garbage, as a power cut leaves them) is cut off. A lost or
broken manifest is written anew if the files leave no doubt.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from sharq_core.store.embedded.aof_files import (
    BrokenFiles,
    Part,
    files_named,
    files_there,
    good_bytes,
    write_manifest,
)
from sharq_core.store.embedded.file_sizes import read_sizes, sizes_now, write_sizes

_TIMESTAMP = re.compile(rb"#TS:(\d{1,12})\r\n")
_LOOK_BACK_BYTES = 1 << 20
_MOST_ZEROS = 16 << 20
"""The most bytes of zeros that a start cuts off by itself."""
_LEFT = "Restore a backup of the data directory, or move the directory away to start anew without the data."


class NotRepaired(Exception):
    """Files that cannot be repaired; the message says why and what else can be done. Nothing was changed."""


class Plan(Struct, frozen=True):
    """The steps of a repair.

    Attributes:
        manifest: the files for a new manifest; None if the old one is good.
        cut: the file whose end is to be cut off; None for none.
        kept_bytes: the bytes of that file to keep.
    """

    parts: Sequence[Part]
    manifest: Sequence[Part] | None = None
    cut: Part | None = None
    kept_bytes: int = 0

    @property
    def is_needed(self) -> bool:
        """There is a fault that can be repaired."""
        return self.manifest is not None or self.cut is not None


def plan_repair(data_dir: Path, binary: str) -> Plan:
    """Check the files of a directory on which no store runs, and change nothing.

    Args:
        binary: the store's program.

    Raises:
        NotRepaired: there is a fault that cannot be repaired.
    """
    manifest: Sequence[Part] | None = None
    try:
        parts: Sequence[Part] = files_named(data_dir)
    except BrokenFiles as error:
        parts = manifest = _guess_manifest(data_dir, str(error))
    missing = [part.path.name for part in parts if not part.path.exists()]
    if missing:
        raise NotRepaired(f"{', '.join(missing)}: named in the manifest but missing. {_LEFT}")
    damaged = [part for part, kept in _checked(parts, binary) if kept < part.size]
    if not damaged:
        return Plan(parts, manifest)
    # Only the end of the newest increment can be cut off without a gap in the data.
    if damaged != [parts[-1]] or parts[-1].kind != "i":
        raise NotRepaired(
            f"{damaged[0].path} is damaged, and it is not the last file of the data: the files after it depend on "
            f"it. {_LEFT}"
        )
    return Plan(parts, manifest, damaged[0], good_bytes(binary, damaged[0]))


def cut_zeros(data_dir: Path, binary: str) -> bool:
    """Cut zeros, as file systems leave them after a power cut, off the end of the data if nothing else is wrong.

    Return True if that was done. More zeros than a moment's work are left for an operator to decide about.
    """
    try:
        plan = plan_repair(data_dir, binary)
        if plan.cut is None or plan.manifest is not None or plan.cut.size - plan.kept_bytes > _MOST_ZEROS:
            return False
        if not _is_zeros(plan.cut.path, plan.kept_bytes):
            return False
        repair(data_dir, binary, plan)
    except (OSError, NotRepaired, subprocess.SubprocessError):
        return False
    return True


def describe(plan: Plan) -> str:
    """Return the faults, the planned steps and the loss, in lines for a person."""
    if not plan.is_needed:
        return f"nothing is wrong: {len(plan.parts)} files can be read to their ends\n"
    lines = []
    if plan.manifest is not None:
        names = ", ".join(part.path.name for part in plan.manifest)
        lines.append(f"the manifest is missing or broken; a new one would name: {names}")
    if plan.cut is not None:
        lines += _describe_cut(plan.cut, plan.kept_bytes)
    return "".join(f"{line}\n" for line in lines)


def repair(data_dir: Path, binary: str, plan: Plan) -> list[str]:
    """Carry out the plan; return the steps done, in lines for a person.

    Raises:
        NotRepaired: the result cannot be read; the copy of the cut part still exists.
        OSError: a file cannot be written.
    """
    done = []
    if plan.manifest is not None:
        write_manifest(data_dir, plan.manifest)
        done.append("wrote a new manifest")
    if plan.cut is not None:
        done += _cut(data_dir, plan.cut, plan.kept_bytes)
        if good_bytes(binary, plan.cut) != plan.cut.size:
            raise NotRepaired(f"{plan.cut.path} cannot be read even now. {_LEFT}")
    return done


def _guess_manifest(data_dir: Path, fault: str) -> list[Part]:
    """Return the existing files if they can belong to one manifest only.

    Raises:
        NotRepaired: there are none, or several snapshots, and only the manifest said which one counts.
    """
    there = files_there(data_dir)
    bases, increments = ([part for part in there if part.kind == kind] for kind in "bi")
    numbers = [part.number for part in increments]
    is_whole = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
    if len(bases) != 1 or not is_whole:
        raise NotRepaired(
            f"{fault}, and a new one cannot be made: there are {len(bases)} base files and {len(increments)} "
            f"increments, but one base file and increments without a gap are needed. {_LEFT}"
        )
    return [*bases, *increments]


def _checked(parts: Sequence[Part], binary: str) -> list[tuple[Part, int]]:
    try:
        return [(part, good_bytes(binary, part)) for part in parts]
    except BrokenFiles as error:
        raise NotRepaired(f"{error}. {_LEFT}") from error


def _describe_cut(part: Part, kept_bytes: int) -> list[str]:
    lost_bytes = part.size - kept_bytes
    what = "zeros" if _is_zeros(part.path, kept_bytes) else "no whole commands"
    written = _time(part.path.stat().st_mtime)
    kept_s = _last_timestamp(part.path, kept_bytes)
    until = f"reach to about {_time(kept_s)}" if kept_s else "do not say which time they reach to"
    return [
        f"{part.path}: the last {lost_bytes} of its {part.size} bytes cannot be read ({what}), and would be cut off",
        f"the {kept_bytes} bytes before them can be read; they {until}",
        f"the file was last written at {written}: work acknowledged between these times may be lost",
    ]


def _cut(data_dir: Path, part: Part, kept_bytes: int) -> list[str]:
    """Cut the end off, keep a copy beside the data, and have the next start report the loss."""
    whole = sizes_now(data_dir)
    lost_bytes = part.size - kept_bytes
    done = []
    if not _is_zeros(part.path, kept_bytes):
        kept = data_dir / f"cut-off-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{part.path.name}"
        _copy_end(part.path, kept_bytes, kept)
        done.append(f"copied the cut part to {kept}")
    with part.path.open("r+b") as file:
        file.truncate(kept_bytes)
        os.fsync(file.fileno())
    write_sizes(data_dir, {**read_sizes(data_dir), **whole})
    return [*done, f"cut the last {lost_bytes} bytes off {part.path}"]


def _copy_end(path: Path, start: int, kept: Path) -> None:
    """Copy a file from a place on to a new file, and write that out; leave none behind if there is no room for it."""
    with path.open("rb") as source, kept.open("xb") as copy:
        try:
            kept.chmod(0o600)
            source.seek(start)
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        except OSError:
            kept.unlink()
            raise


def _is_zeros(path: Path, start: int) -> bool:
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(_LOOK_BACK_BYTES):
            if chunk.count(0) != len(chunk):
                return False
    return True


def _last_timestamp(path: Path, end: int) -> int | None:
    """Return the last timestamp that the store wrote before a place in its file, in seconds since the epoch."""
    with path.open("rb") as file:
        while end > 0:
            start = max(end - _LOOK_BACK_BYTES, 0)
            file.seek(start)
            timestamps = _TIMESTAMP.findall(file.read(end - start))
            if timestamps:
                return int(timestamps[-1])
            # The next chunk overlaps this one, so that a timestamp across the border is found.
            end = start + len(b"#TS:999999999999\r") if start else 0
    return None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
