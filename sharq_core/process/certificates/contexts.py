"""Keeps the TLS contexts of connections to the store, so that only changed files are read again.

Reading the system's authorities takes 30 ms of the event loop, and a Sentinel group needs several connections a second.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from msgspec import Struct


class TrustFiles(Struct, frozen=True):
    """The PEM files of a client.

    Attributes:
        ca: the authorities that may sign a server's certificate; None for the system's.
        cert, key: the client's own certificate and its key; None for none.
    """

    ca: str | None
    cert: str | None
    key: str | None


_Stamps = tuple[tuple[int, int, int] | None, ...]
"""The inode, the time of the last change and the length of each file; None for no file."""

_kept: dict[TrustFiles, tuple[_Stamps, ssl.SSLContext]] = {}


def context_of(files: TrustFiles) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and its name; the same one until a file changes.

    Raises:
        OSError: a file cannot be read or used.
    """
    stamps = _stamps_of(files)
    kept = _kept.get(files)
    if kept is not None and kept[0] == stamps:
        return kept[1]
    context = ssl.create_default_context(cafile=files.ca)
    if files.cert is not None:
        context.load_cert_chain(files.cert, files.key, password="")  # never ask for one on the terminal
    _kept[files] = stamps, context
    return context


def _stamps_of(files: TrustFiles) -> _Stamps:
    trusted = files.ca or ssl.get_default_verify_paths().cafile
    return tuple(map(_stamp, (trusted, files.cert, files.key)))


def _stamp(path: str | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    found = Path(path).stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
