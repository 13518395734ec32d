"""Explains why a connection failed, in words that hold no address, user, password or path and may be shown to anybody.

The log has the original error beside them.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

_HOST_MISMATCH, _ADDRESS_MISMATCH = 62, 64
"""OpenSSL's codes; their texts quote the expected name."""

_OF_SYSTEM = {
    errno.ECONNREFUSED: "the connection was refused: nothing listens there",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no route to it",
    errno.ETIMEDOUT: "no answer",
    errno.ENOENT: "its socket does not exist",
    errno.EACCES: "its socket may not be opened",
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
    errno.ENOBUFS: "this machine has no memory left for connections",
    errno.EADDRNOTAVAIL: "this machine has no port left for connections",
}

_OF_THIS_END = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""The errors of an end that lacks what a new connection takes. They say nothing about the other end."""

_WRAPPERS = ("os_error", "certificate_error")
"""The attributes in which aiohttp keeps the error that it wraps; the wrapper has the same class and less detail."""

_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
_WANTS_CERTIFICATE = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"})
_ALERTS = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it refuses this end's certificate: it has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses this end's certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses this end's certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it refuses this end's certificate: it is revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "it refuses this end's certificate: it does not know the authority",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS that this end does",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it found no way to speak TLS with this end",
}


def why_unreachable(error: BaseException) -> str | None:
    """Return the reason that an error or one of its causes gives; None if none is known."""
    return next((reason for cause in _causes(error) if (reason := _why(cause)) is not None), None)


def is_of_this_end(error: BaseException) -> bool:
    """Return True if this end lacks what a new connection takes, such as a file: the other end may be well."""
    return any(isinstance(cause, OSError) and cause.errno in _OF_THIS_END for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, without those that only wrap another one."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        inner = next((inner for name in _WRAPPERS if (inner := getattr(cause, name, None)) is not None), None)
        if inner is None:
            yield cause
        cause = inner or cause.__cause__ or cause.__context__


def why_tls_failed(error: ssl.SSLError) -> str:
    """Return why a handshake failed; `it` is the other end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
            return "its certificate is for another name"
        return f"its certificate is not valid: {error.verify_message}"
    reason = error.reason or ""
    if reason in _NO_TLS or "WRONG_VERSION" in reason:
        return "it does not speak TLS there, and this end does"
    if reason in _WANTS_CERTIFICATE:
        return "a certificate is required, and none was shown"
    return _ALERTS.get(reason, f"TLS failed ({reason or 'it ended the handshake'})")


def _why(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLError):
        return why_tls_failed(error)
    if isinstance(error, ssl.CertificateError):
        return "its certificate is for another name"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return _OF_SYSTEM.get(error.errno or 0) if isinstance(error, OSError) else None
