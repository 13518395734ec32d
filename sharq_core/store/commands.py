"""Packs commands and function calls for a server; the keys of a partition are packed once for all its calls."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import msgspec
from hiredis import pack_command

Word: TypeAlias = bytes | str | int

Command: TypeAlias = Sequence[Word]
"""The words of a command."""

_FCALL = b"FCALL"


class KeyList(msgspec.Struct, frozen=True):
    """The keys of one partition that a function declares.

    Attributes:
        packed: the keys as they are sent.
    """

    names: tuple[bytes, ...]
    packed: bytes

    @classmethod
    def of(cls, *names: bytes) -> KeyList:
        """Return the keys of these names."""
        return cls(names, _without_count(pack_command(names)))  # type: ignore[arg-type] # its stub says one

    def joined(self, others: Sequence[KeyList]) -> KeyList:
        """Return these keys and those of the others, for a function that declares more of the same partition."""
        lists = (self, *others)
        names = tuple(name for keys in lists for name in keys.names)
        return KeyList(names, b"".join([keys.packed for keys in lists]))


class FcallCommand(msgspec.Struct, frozen=True):
    """A function call, or several calls sent as one (scheduler/joint.py).

    Attributes:
        function: the function's name.
        keys: the keys of each call's partition, all of the same kinds.
        arguments: the arguments after the keys.
        kinds: the kind of each call in it: the function, and its first key, which belongs to the partition or to the
            type in it. Calls of one kind keep their order (resend.py).
    """

    function: bytes
    keys: tuple[KeyList, ...]
    arguments: list[Word]
    kinds: Sequence[Hashable]

    @property
    def words(self) -> list[Word]:
        """The words of the whole command."""
        names = [name for keys in self.keys for name in keys.names]
        return [_FCALL, self.function, len(names), *names, *self.arguments]

    def packed(self) -> bytes:
        """Return the bytes to send."""
        # The keys are packed already; pack_command packs the arguments behind a count of its own, which is cut off.
        count = len(self.keys) * len(self.keys[0].names)
        digits = b"%d" % count
        head = b"*%d\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            3 + count + len(self.arguments),
            len(self.function),
            self.function,
            len(digits),
            digits,
        )
        arguments: bytes = pack_command(tuple(self.arguments))  # type: ignore[arg-type] # its stub says one
        return b"".join((head, *[keys.packed for keys in self.keys], arguments[arguments.index(b"\n") + 1 :]))


def pack(commands: Sequence[Command | FcallCommand]) -> list[bytes]:
    """Return the bytes to send for each command."""
    return [command.packed() if isinstance(command, FcallCommand) else _pack(command) for command in commands]


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type] # its stub says one
    return packed


def _without_count(packed: bytes) -> bytes:
    return packed[packed.index(b"\n") + 1 :]
