"""Tells the service manager that started this process (systemd, `Type=notify`) when it is ready, reloads and stops.

The protocol is that of sd_notify(3): datagrams of lines `NAME=text` to the socket that $NOTIFY_SOCKET names. Without
that variable nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger("sharq.process")

_LOOK_EVERY_S = 0.1
_BEATS_IN_WATCHDOG_TIME = 3
"""Signs of life in the time after which the service manager takes a silent process for hung."""


class ServiceManager:
    """The service manager of this process.

    Args:
        address: the path of its datagram socket, or with `@` as its first character an abstract name; None for no
            service manager.
        watchdog_s: the time in seconds after which a silent process is taken for hung; None for no such check.

    Attributes:
        is_told_ready: True once the process was reported as ready, which lasts until its stop.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._status = ""
        self.is_told_ready = False

    async def beat(self) -> None:
        """Send signs of life from the event loop as often as the service manager wants them; then never return."""
        if self._address is None or self._watchdog_s is None:
            return
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / _BEATS_IN_WATCHDOG_TIME)

    async def follow(self, why_not_ready: Callable[[], str | None]) -> None:
        """Report the process as ready as soon as it is, and each reason why it is not; then never return.

        Args:
            why_not_ready: returns the reason of /readyz in words; None if the process is ready.
        """
        while self._address is not None:
            self._tell_readiness(why_not_ready())
            await asyncio.sleep(_LOOK_EVERY_S)

    def reload(self, work: Callable[[], None]) -> None:
        """Do the work of a reload, and report its beginning and its end."""
        if self.is_told_ready:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        work()
        if self.is_told_ready:
            self._send("READY=1")

    def stopping(self) -> None:
        """Report that the process ends."""
        self._send("STOPPING=1", "STATUS=stopping")

    def _tell_readiness(self, reason: str | None) -> None:
        """Report the readiness if it has changed. READY=1 is sent once, because it cannot be taken back."""
        status = "ready" if reason is None else f"not ready: {' '.join(reason.split())}"
        if status == self._status:
            return
        self._status = status
        if reason is None and not self.is_told_ready:
            self.is_told_ready = True
            self._send("READY=1", f"STATUS={status}")
        else:
            self._send(f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        """Send one datagram. Without a listener that is logged, and the process goes on."""
        if self._address is None:
            return
        name = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(0)  # never wait for a listener that does not read
                sending.sendto("\n".join(lines).encode(), name)
        except OSError as error:
            log.warning("service_manager_not_told what=%s error=%r", lines[0], error.strerror)


def find_service_manager(environ: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """Return the service manager that the environment names, and take its variables out of the environment.

    Otherwise a child of this process would inherit them and could report itself in the place of this process.
    """
    address = environ.pop("NOTIFY_SOCKET", "")
    watchdog_us, watched_pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    is_watched = watchdog_us.isdecimal() and watched_pid in ("", str(os.getpid()))
    if address and not address.startswith(("/", "@")):
        log.warning("service_manager_unknown socket=%s: expected a path or an abstract name", address)
        address = ""
    return ServiceManager(address or None, int(watchdog_us) / 1_000_000 if is_watched else None)
