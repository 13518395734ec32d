"""Hands out free TCP ports of this machine."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator

PORTS = range(10_000, 20_000)
"""Below the ephemeral ports of Linux and macOS, so that no outgoing connection takes one between two starts, and below
those from which sharq-cluster chooses for its processes.
"""

MOST_WORKERS = 8
"""Test processes side by side that get ports of their own."""


def _own_ports() -> Iterator[int]:
    """This test process's share of the ports, from a random one on, round and round: none is given out twice soon."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MOST_WORKERS
    share = PORTS[worker::MOST_WORKERS]
    begin = random.randrange(len(share))
    return itertools.cycle((*share[begin:], *share[:begin]))


_ports = _own_ports()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Raises:
        RuntimeError: 100 ports tried, none was free.
    """
    for port in itertools.islice(_ports, 100):
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
        if first + count in PORTS and all(is_free(port) for port in range(first, first + count)):
            return first


def is_free(port: int) -> bool:
    """Return True if nothing listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
