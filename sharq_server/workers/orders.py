"""Defines the messages between the parent and a worker: the orders at the start, then one JSON line each.

They use one end each of a pair of sockets that no other process has.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from sharq_core.config import Address, Config
from sharq_core.config.settings import Key
from sharq_core.version import __version__

_LENGTH = struct.Struct("!I")
_MAX_LINE_BYTES = 1 << 20


class StoreDirectory(Struct, frozen=True):
    """The data directory of the embedded store.

    Attributes:
        path: the directory, absolute.
        lock: device and inode of its lock, by which a directory that was replaced is recognised.
    """

    path: Path
    lock: tuple[int, int]


class Members(Struct, frozen=True, tag=True):
    """The numbers of the workers that run now; the version grows with each change."""

    version: int
    numbers: tuple[int, ...]


class CutNews(Struct, frozen=True, tag=True):
    """Data that the embedded store's files had lost before it was started again: bytes, and in words."""

    lost_bytes: int
    text: str


class WorkerOrders(Struct, frozen=True, kw_only=True):
    """All that a worker needs to know at its start. The parent has read the configuration once for all workers.

    Attributes:
        number: the worker's number, from 0.
        workers: the number of workers.
        restarts: the number of times that this worker was started again.
        hangs: how many of them because it hung.
        config_file, options: the file and the command line, for reading the [log] settings again.
        store_url: the address of the embedded store; None if the configuration names a store.
        directory: its data directory; None without an embedded store.
        members: the workers that run when this one has started, itself among them.
        parent: the process id of the parent.
        umask: the mode bits that files made by this process do not get.
        cut: data that the embedded store's files had lost; None for nothing.
        addresses: the addresses on which the parent listens.
        links: the private directory of the sockets between the workers.
        secret: the secret that the workers prove to each other.
        version: the version of the parent; a worker of another one does not start.
    """

    number: int
    workers: int
    restarts: int
    hangs: int
    config: Config
    config_file: Path | None
    options: dict[Key, str]
    store_url: str | None
    directory: StoreDirectory | None
    members: Members
    parent: int
    umask: int
    cut: CutNews | None
    addresses: tuple[Address, ...]
    links: Path
    secret: str
    version: str = __version__


class Parting(Struct, frozen=True, tag=True):
    """All workers stop: each ends its links to the others at once, and itself PARTING_S later.

    It is no signal, because a service manager may have sent SIGTERM to every process already, and a second one ends a
    process in the middle of its work.
    """


PARTING_S = 0.05
"""Seconds for the workers to end the links between them, so that none takes the stop of another one for a fault."""


class Started(Struct, frozen=True, tag=True):
    """The worker accepts connections and the links of the others."""


class Beat(Struct, frozen=True, tag=True):
    """A sign of life, with the reason why the worker is not ready; None if it is."""

    why_not_ready: str | None
    is_stopping: bool = False


class Failed(Struct, frozen=True, tag=True):
    """The worker cannot go on: its exit status and the reason, which the parent prints."""

    exit_status: int
    reason: str


ToWorker: TypeAlias = Members | CutNews | Parting
FromWorker: TypeAlias = Started | Beat | Failed
Message: TypeAlias = ToWorker | FromWorker

_DECODERS = {
    "worker": msgspec.json.Decoder(ToWorker),
    "parent": msgspec.json.Decoder(FromWorker),
}


def send_orders(control: socket.socket, orders: WorkerOrders) -> None:
    """Send the orders to a worker that is being started; they wait for it in the socket's buffer."""
    text = pickle.dumps(orders)
    control.sendall(_LENGTH.pack(len(text)) + text)


def receive_orders(control: socket.socket) -> WorkerOrders:
    """Wait for the orders of the parent.

    Raises:
        EOFError: the parent has ended.
    """
    (size,) = _LENGTH.unpack(_read(control, _LENGTH.size))
    orders: WorkerOrders = pickle.loads(_read(control, size))
    return orders


def encode_line(message: Message) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(message) + b"\n"


class ControlLine:
    """One end of the pair of sockets between the parent and a worker, once the orders are read.

    Args:
        hearer: whose messages come: those for the `parent`, or those for a `worker`.
    """

    def __init__(self, control: socket.socket, hearer: str) -> None:
        self._control = control
        self._decoder = _DECODERS[hearer]
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Make this end ready to say messages. Those of the other end wait for `listen`."""
        self._reader, self._writer = await asyncio.open_unix_connection(
            sock=self._control, limit=_MAX_LINE_BYTES
        )

    async def listen(self, on_message: Callable[..., None]) -> None:
        """Call on_message with each message of the other end until that is closed. The line must be open."""
        assert self._reader is not None
        while True:
            try:
                line = await self._reader.readline()
            except ConnectionError:
                return
            if not line.endswith(b"\n"):
                return
            on_message(self._decoder.decode(line))

    def say(self, message: Message) -> None:
        """Send a message; nothing happens if this end is not open, or the other end is closed."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode_line(message))

    def close(self) -> None:
        """Close this end."""
        if self._writer is not None:
            self._writer.close()
        else:
            self._control.close()


def _read(control: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = control.recv(size - len(read))
        if not part:
            raise EOFError("the parent has ended")
        read += part
    return read
