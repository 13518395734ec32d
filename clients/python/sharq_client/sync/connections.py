"""Sends one HTTP request of the sync client with urllib3. A try ends at its timeout, however slowly an answer comes."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from contextvars import ContextVar
from typing import Any, cast

import urllib3
from urllib3 import connection, exceptions

from sharq_client import errors, failures
from sharq_client.environment import speaks_tls

MAX_KEPT = 64
"""The connections to one server that are kept for later calls. More threads than that work, too."""

_NO_HTTP = (http.client.BadStatusLine, http.client.UnknownProtocol)
"""The errors for a first line that no server of HTTP sends. RemoteDisconnected is one of them, for none at all."""

_CUT_OFF = (http.client.RemoteDisconnected, http.client.IncompleteRead)
"""The errors for a connection that ended before the whole answer."""


class Urllib3Connections:
    """The kept connections of a sync client. Any thread may use them, and a forked process begins with its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Configure the connections. This opens nothing yet.

        Args:
            tls: the certificates to trust; None for those of the system.
        """
        self._tls = tls
        # One attribute without a lock, since a lock that another thread holds during a fork stays locked in the child.
        self._owned: tuple[int, urllib3.PoolManager] | None = None
        self._answered: set[str] = set()

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
            Unavailable, UntrustedCertificate, WrongUrl: nothing was done.
            OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
        """
        origin = failures.origin_of(url)
        call = _Call(timeout_s)
        _CALL.set(call)
        try:
            response = self._open().request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=urllib3.Timeout(total=timeout_s, connect=connect_timeout_s),
                retries=False,
                redirect=False,
            )
        except exceptions.HTTPError as error:
            raise self._to_error(error, call, origin, connect_timeout_s) from error
        self._answered.add(origin)
        return response.status, response.data

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        owned, self._owned = self._owned, None
        if owned is not None and owned[0] == os.getpid():
            owned[1].clear()

    def sleep(self, seconds: float) -> None:
        """Wait, as before a retry."""
        time.sleep(seconds)

    def time(self) -> float:
        """Return a time in seconds that only moves forward."""
        return time.monotonic()

    def _open(self) -> urllib3.PoolManager:
        owned = self._owned
        if owned is None or owned[0] != os.getpid():
            pools = urllib3.PoolManager(maxsize=MAX_KEPT, ssl_context=self._tls)
            pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            self._owned = owned = os.getpid(), pools
        return owned[1]

    def _to_error(
        self, error: exceptions.HTTPError, call: _Call, origin: str, connect_timeout_s: float
    ) -> errors.SharqError:
        fault = _fault_of(error)
        if not call.has_sent:
            return failures.not_connected(origin, fault)
        is_silent = isinstance(fault, http.client.RemoteDisconnected)
        if origin not in self._answered and isinstance(fault, _NO_HTTP):
            if not is_silent or speaks_tls(origin, connect_timeout_s):
                return failures.no_http(origin, speaks_tls=is_silent)
        elif isinstance(fault, http.client.HTTPException) and not isinstance(fault, _CUT_OFF):
            return failures.not_readable(origin, failures.reason_of(fault))
        return failures.not_answered(origin, error)


class _Call:
    """One try of a call.

    Attributes:
        has_sent: True if a connection was made, so that something of the request was perhaps sent.
    """

    def __init__(self, timeout_s: float) -> None:
        self._ends_s = time.monotonic() + timeout_s
        self.has_sent = False

    def remaining_s(self) -> float:
        """Return the seconds that remain.

        Raises:
            TimeoutError: none remain.
        """
        remaining_s = self._ends_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("timed out")
        return remaining_s


_CALL: ContextVar[_Call] = ContextVar("_CALL")
"""The call of this thread: urllib3 makes connections, and http.client makes responses, without a word about it."""


class _TimedReader(io.RawIOBase):
    """The bytes of an answer. Each read waits no longer than the call has time: urllib3 limits one read only."""

    _bytes: io.RawIOBase | None = None
    """The file of the socket; None if an interrupt came before it was made: it is closed when it is freed even then."""

    def __init__(self, sock: socket.socket, call: _Call) -> None:
        super().__init__()
        self._sock = sock
        self._call = call
        self._bytes = cast(io.RawIOBase, sock.makefile("rb", buffering=0))

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer. Return the number of bytes, 0 at the end."""
        assert self._bytes is not None
        self._sock.settimeout(self._call.remaining_s())
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        """Close the file, not the socket."""
        if self._bytes is not None:
            self._bytes.close()
        super().close()


class _TimedSocket:
    """The part of a socket that a response uses."""

    def __init__(self, sock: socket.socket, call: _Call) -> None:
        self._sock = sock
        self._call = call

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the socket as a file to read from."""
        return io.BufferedReader(_TimedReader(self._sock, self._call))


class _TimedResponse(http.client.HTTPResponse):
    """A response that ends with its call."""

    fp: Any = None
    """The file of the socket: http.client closes it when the response is freed, also when an interrupt prevented it."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(cast(socket.socket, _TimedSocket(sock, _CALL.get())), *args, **options)


class _HttpConnection(connection.HTTPConnection):
    response_class = _TimedResponse

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        **options: Any,
    ) -> None:
        if self.sock is None:
            self.connect()
        _begin_to_send(self)
        super().request(method, url, body, headers, **options)


class _HttpsConnection(connection.HTTPSConnection):
    response_class = _TimedResponse

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        **options: Any,
    ) -> None:
        if self.sock is None:
            self.connect()
        _begin_to_send(self)
        super().request(method, url, body, headers, **options)


def _begin_to_send(sending: connection.HTTPConnection) -> None:
    """Give the request the time that remains: urllib3 would give it that of connecting."""
    call = _CALL.get()
    sending.timeout = call.remaining_s()
    call.has_sent = True


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _fault_of(error: BaseException) -> BaseException:
    """Return the error of the socket or of http.client for which urllib3 raised its own."""
    while (cause := error.__cause__ or error.__context__) is not None and isinstance(
        error, exceptions.HTTPError
    ):
        error = cause
    return error
