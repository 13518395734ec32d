"""Reads the settings of a client that its caller leaves to the environment, and the certificates that it trusts."""

from __future__ import annotations

import os
import ssl

DEFAULT_URL = "http://127.0.0.1:8080"
"""The URL of a client that names none: that of a server that was started without a configuration."""


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
    return ssl.create_default_context(cafile=ca)
