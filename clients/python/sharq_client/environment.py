"""Reads a client's settings from the environment, and certificates from files; asks a server if it speaks TLS."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

DEFAULT_URL = "http://127.0.0.1:8080"
"""The URL of a client that names none: that of a server that was started without a configuration."""

MAX_TIMEOUT_S = 86_400.0
"""The longest timeout of a try. The system refuses times far in the future with an error that names no option."""

MAX_HEADER_BYTES = 65_536
"""The longest line in the head of an answer, as http.client has it. The server's are short; a proxy may add long ones.
"""

MAX_LOOK_S = 1.0
"""The time that a look at a server may take."""


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a client, from which another client of the same servers can be made.

    Attributes:
        urls: the URLs of the servers, one or more.
        token: the bearer token; None for none.
        timeout_s: the timeout of one try.
        retries: the number of retries of a call.
        tls: the certificates to trust; None for those of the system.
        uses_http: False if the caller supplied the connections, such as those of a fake.
        tracing: False for no spans.
    """

    urls: Sequence[str]
    token: str | None
    timeout_s: float
    retries: int
    tls: ssl.SSLContext | None
    uses_http: bool = True
    tracing: bool = True


def default_urls() -> list[str]:
    """Return the URLs of SHARQ_URL, which stand between spaces; without it the default."""
    return os.environ.get("SHARQ_URL", "").split() or [DEFAULT_URL]


def default_token() -> str | None:
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


def settings_of(
    url: str | Sequence[str] | None,
    token: str | None,
    timeout_s: float,
    retries: int,
    ca: str | os.PathLike[str] | ssl.SSLContext | None,
    *,
    uses_http: bool,
    tracing: bool = True,
) -> ClientSettings:
    """Return the settings of a client from its arguments, and from the environment if an argument is None.

    Raises:
        ValueError: the token has characters that no token has, or timeout_s or retries is out of range.
        OSError: the file of certificates cannot be read.
    """
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise ValueError(f"timeout_s: expected more than 0 seconds and at most a day, got {timeout_s!r}")
    if not isinstance(retries, int) or retries < 0:
        raise ValueError(f"retries: expected a whole number, 0 or more, got {retries!r}")
    return ClientSettings(
        urls=default_urls() if url is None else [url] if isinstance(url, str) else list(url),
        token=_checked(token or default_token()),
        timeout_s=timeout_s,
        retries=retries,
        tls=tls_of(ca),
        uses_http=uses_http,
        tracing=tracing,
    )


def _checked(token: str | None) -> str | None:
    """Return a token that fits into a header. The message for any other does not show it, because it is a secret."""
    if token is not None and not all("!" <= character <= "~" for character in token):
        raise ValueError(
            "token: expected visible ASCII characters; one that was read from a file may end with a newline"
        )
    return token


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
