"""Hands out free TCP ports of this machine."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

PORTS = range(10_000, 20_000)
"""Below the ephemeral ports of Linux and macOS, so that no outgoing connection takes one between two starts, and below
those from which sharq-cluster chooses for its processes.
"""

BLOCKS = 40
"""Test processes side by side that get ports of their own, those of other runs on this machine among them."""


@functools.cache
def _own_block() -> range:
    """Return a block of the ports that no other test process has as long as this one lives; any if all are taken."""
    folder = Path(tempfile.gettempdir()) / f"sharq-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    size = len(PORTS) // BLOCKS
    for number in random.sample(range(BLOCKS), BLOCKS):
        block = PORTS[number * size : (number + 1) * size]
        # The lock stays until the end of the process, which closes the descriptor.
        lock = os.open(folder / str(number), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return block
    return block


@functools.cache
def _own_ports() -> Iterator[int]:
    """Return the ports of this test process, round and round: none is given out twice soon."""
    return itertools.cycle(_own_block())


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Raises:
        RuntimeError: 100 ports tried, none was free.
    """
    for port in itertools.islice(_own_ports(), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port among 100 of 10000-19999")


def free_ports_in_a_row(count: int) -> int:
    """Return the first of `count` free ports in a row."""
    while True:
        first = free_port()
        if first + count in _own_block() and all(is_free(port) for port in range(first, first + count)):
            return first


def is_free(port: int) -> bool:
    """Return True if nothing listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
