"""What is sent to a server: commands by their words, and function calls, whose keys are packed once for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import msgspec
from hiredis import pack_command

Word: TypeAlias = bytes | str | int

Command: TypeAlias = Sequence[Word]
"""Its words."""

_FCALL = b"FCALL"


class KeyList(msgspec.Struct, frozen=True):
    """The keys of one partition that a function declares.

    Attributes:
        packed: as they are sent.
    """

    names: tuple[bytes, ...]
    packed: bytes

    @classmethod
    def of(cls, *names: bytes) -> KeyList:
        return cls(names, _without_count(pack_command(names)))  # type: ignore[arg-type] # its stub says one


class Fcall(msgspec.Struct, frozen=True):
    """A function call: one, or several that are sent as one (scheduler/joint.py).

    Attributes:
        function: its name.
        keys: of each call's partition, all of the same kinds.
        arguments: what follows the keys.
        kinds: of each call that it holds; those of one kind keep their order (order.py).
    """

    function: bytes
    keys: tuple[KeyList, ...]
    arguments: Sequence[Word]
    kinds: Sequence[Hashable]

    @property
    def key_count(self) -> int:
        """Of all partitions."""
        return len(self.keys) * len(self.keys[0].names)

    @property
    def words(self) -> list[Word]:
        """The whole command."""
        names = [name for keys in self.keys for name in keys.names]
        return [_FCALL, self.function, len(names), *names, *self.arguments]

    def packed(self) -> bytes:
        """As it is sent."""
        count = self.key_count
        head = b"*%d\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n" % (
            3 + count + len(self.arguments),
            len(self.function),
            self.function,
        )
        return b"".join(
            (
                head,
                _number(count),
                *[keys.packed for keys in self.keys],
                _without_count(_pack(self.arguments)),
            )
        )


def pack(commands: Sequence[Command | Fcall]) -> list[bytes]:
    """Commands as they are sent."""
    return [command.packed() if isinstance(command, Fcall) else _pack(command) for command in commands]


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type] # its stub says one
    return packed


def _number(number: int) -> bytes:
    text = b"%d" % number
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _without_count(packed: bytes) -> bytes:
    return packed[packed.index(b"\n") + 1 :]
