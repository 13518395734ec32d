"""Stands for systemd: receives what a program with `Type=notify` sends to the socket that $NOTIFY_SOCKET names."""

from __future__ import annotations

import socket

from tests.support.waits import wait_until


class Manager:
    """The receiving end of the protocol, as systemd has it.

    Args:
        address: a path, or `@` and an abstract name.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._told: list[str] = []
        self.environ = {"NOTIFY_SOCKET": address}

    def told(self) -> list[str]:
        """Return the lines so far, over all datagrams, in their order."""
        while True:
            try:
                self._told += self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self._told

    def until_told(self, line: str, times: int = 1) -> None:
        """Wait until a line that begins so has come."""

        def is_told() -> bool:
            return sum(one.startswith(line) for one in self.told()) >= times

        wait_until(is_told, what=f"{line!r} was not told")

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()
