"""Finds the secrets of a configuration that every user of the machine can read.

A file that only its owner and its group can read is fine: containers mount secrets with mode 0440.
"""

from __future__ import annotations

import stat
from pathlib import Path

from sharq_core.config.settings import KINDS, Key
from sharq_core.config.sources import Given, Source

_NAMES = ("tokens_file", "tls_key", "link_tls_key", "sentinel_tls_key")
"""The keys that name a file with a secret which the configuration itself does not read."""


def readable_secrets(given: Source) -> tuple[str, ...]:
    """Return a line for each secret in a file that everyone can read. It names the setting and the file's mode."""
    return tuple(
        f"{value.origin}: everyone on this machine can read the file that holds it (mode {mode:04o}); allow its owner "
        "and group only (chmod o-r)"
        for key, value in given.items()
        if (path := _file_of(key, value)) is not None and (mode := _open_mode(path)) is not None
    )


def _file_of(key: Key, value: Given) -> Path | None:
    """Return the file that holds the secret of a setting; None if it is no secret, or in no file."""
    text = value.text.reveal()
    if key.name in _NAMES:
        return Path(text)
    is_secret = KINDS[key].is_secret and (key.name != "url" or "@" in text)
    return value.file if is_secret else None


def _open_mode(path: Path) -> int | None:
    """Return the mode of a file that everyone can read; None for any other file, or if the mode cannot be read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        is_open = mode & stat.S_IROTH and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents
        )
    except (OSError, ValueError):  # the reader of the file reports it
        return None
    return mode if is_open else None
