"""Sends one HTTP request of the sync client with urllib3."""

from __future__ import annotations

import os
import ssl
import threading
import time

import urllib3
from urllib3 import exceptions

from sharq_client import errors

MAX_KEPT = 64
"""The connections to one server that are kept for later calls. More threads than that work, too."""


class Urllib3Connections:
    """The kept connections of a sync client. Any thread may use them, and a forked process begins with its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Configure the connections. This opens nothing yet.

        Args:
            tls: the certificates to trust; None for those of the system.
        """
        self._tls = tls
        self._lock = threading.Lock()
        self._pools: urllib3.PoolManager | None = None
        self._owner_pid = 0

    def exchange(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        *,
        timeout_s: float,
        connect_timeout_s: float,
    ) -> tuple[int, bytes]:
        """Send one request once. Return the status and the content of the answer.

        Raises:
            Unavailable: no connection was made. Nothing was done.
            OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
        """
        timeout = urllib3.Timeout(connect=connect_timeout_s, read=timeout_s)
        try:
            response = self._open().request(
                method, url, body=data, headers=headers, timeout=timeout, retries=False, redirect=False
            )
        except exceptions.HTTPError as error:
            raise _to_error(error) from error
        return response.status, response.data

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        with self._lock:
            pools, self._pools = self._pools, None
        if pools is not None and self._owner_pid == os.getpid():
            pools.clear()

    def sleep(self, seconds: float) -> None:
        """Wait, as before a retry."""
        time.sleep(seconds)

    def time(self) -> float:
        """Return a time in seconds that only moves forward."""
        return time.monotonic()

    def _open(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pools is None or self._owner_pid != os.getpid():
                self._pools = urllib3.PoolManager(maxsize=MAX_KEPT, ssl_context=self._tls)
                self._owner_pid = os.getpid()
            return self._pools


def _to_error(error: exceptions.HTTPError) -> errors.SharqError:
    """Return Unavailable if no connection was made, so that nothing was sent; otherwise OutcomeUnknown."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, exceptions.NewConnectionError | exceptions.ConnectTimeoutError):
        return errors.Unavailable(f"no connection was made ({reason})")
    return errors.OutcomeUnknown(f"sent, and no answer came ({reason})")
