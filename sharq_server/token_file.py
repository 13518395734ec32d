"""Changes the file of tokens: adds a line, or takes one out. A server that follows the file finds it whole."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router.access.token import Token
from router.access.token_file import is_token_line, parse_tokens
from router.access.words import parse_line, write_line
from sharq_core.errors import ConfigError

_NEW_MODE = 0o600


def add_token(path: Path, token: Token) -> None:
    """Add a line to the file, which is made if there is none. The other lines stay as they are.

    Raises:
        ConfigError: the name is taken, or the file has an invalid line. Nothing was done.
        OSError: the file cannot be read or written. Nothing was done.
    """
    with _locked(path) as target:
        lines = _lines_of(target)
        if any(is_token_line(line) and parse_line(line).name == token.name for line in lines):
            raise ConfigError(
                f"{path} has a token {token.name} already; revoke it first, or choose another name"
            )
        _write(target, [*lines, write_line(token)], path)


def remove_token(path: Path, name: str) -> str | None:
    """Take the line of a token out of the file. The other lines stay as they are.

    Returns:
        The name of another line with the same token, which therefore stays valid; None if there is none.

    Raises:
        ConfigError: no token has this name, it is the last one, or the file has an invalid line. Nothing was done.
        OSError: the file cannot be read or written. Nothing was done.
    """
    with _locked(path) as target:
        lines = _lines_of(target)
        named = {line: parse_line(line) for line in lines if is_token_line(line)}
        kept = [line for line in lines if line not in named or named[line].name != name]
        if len(kept) == len(lines):
            raise ConfigError(f"{path} has no token {name}")
        if not any(map(is_token_line, kept)):
            raise ConfigError(
                f"{name} is the last token of {path}, and servers refuse a file without one; add another one first"
            )
        _write(target, kept, path)
    gone = {token.digest for token in named.values() if token.name == name}
    return next((token.name for token in named.values() if token.digest in gone and token.name != name), None)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Yield the file that a path leads to, and keep out other changes meanwhile."""
    target = path.resolve()  # a link stays one
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield target
    finally:
        os.close(directory)


def _lines_of(path: Path) -> list[str]:
    """Return the lines of the file; none if there is no file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    parse_tokens(content, str(path))
    return content.decode("utf-8-sig").splitlines()


def _write(target: Path, lines: list[str], shown: Path) -> None:
    """Write the file, whole or not at all. Its mode and its owner stay."""
    content = "".join(f"{line}\n" for line in lines).encode()
    parse_tokens(content, str(shown))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_over(file.fileno(), target)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink()
        raise


def _take_over(descriptor: int, target: Path) -> None:
    """Give a new file the mode and the owner of the one that it replaces, so that the server can read it."""
    try:
        old = target.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_MODE)
        return
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
