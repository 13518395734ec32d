"""Reads a client's settings from the environment, and certificates from files; asks a server if it speaks TLS."""

from __future__ import annotations

import os
import socket
import ssl
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8080"
"""The URL of a client that names none: that of a server that was started without a configuration."""

MAX_LOOK_S = 1.0
"""The time that a look at a server may take."""


def urls() -> list[str]:
    """Return the URLs of SHARQ_URL, which stand between spaces; without it the default."""
    return os.environ.get("SHARQ_URL", "").split() or [DEFAULT_URL]


def token() -> str | None:
    """Return the token of SHARQ_TOKEN; None if it is absent or empty."""
    return os.environ.get("SHARQ_TOKEN") or None


def tls_of(ca: str | os.PathLike[str] | ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Return the certificates to trust, from a file in PEM or as they are; None for those of the system.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    if ca is None or isinstance(ca, ssl.SSLContext):
        return ca
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise OSError(f"ca: no certificate in PEM in {os.fspath(ca)!r} ({error.reason})") from error
    except OSError as error:
        raise OSError(error.errno, f"ca: {error.strerror}", os.fspath(ca)) from error


def speaks_tls(origin: str, timeout_s: float) -> bool:
    """Return True if the server at an http:// origin speaks TLS. It blocks for up to 1 s.

    It is asked once a server has closed a connection without an answer, which is what one does that expects TLS.
    """
    parts = urlsplit(origin)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent but the handshake
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 80), min(timeout_s, MAX_LOOK_S)) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False
