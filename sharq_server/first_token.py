"""Runs `sharq-server --make-token`: makes a token at the first start, prints it, and keeps its hash in a file."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import msgspec

from router.access.token_file import new_token
from sharq_core.config import Config
from sharq_core.errors import ConfigError
from sharq_core.logs.standard_files import announce

log = logging.getLogger("sharq.server")

FILE_NAME = "tokens"
TOKEN_NAME = "first"

_COMMENT = """\
# Made by sharq-server --make-token at its first start. sharq-server --new-token NAME prints a token and a line for this
# file, which is read again when it changes.
"""

_MESSAGE = """\
The API asks for a token. This one was made now and is shown only once:

  {token}

Send it as the header Authorization: Bearer TOKEN, or set SHARQ_TOKEN for sharq and the Python client. Its hash is in
{path}. To let everyone in instead, set SHARQ_AUTH_ALLOW_ANONYMOUS=true.
"""


def require_tokens(config: Config, data_dir: Path) -> Config:
    """Return the configuration with the file of tokens in data_dir, unless it already configures who may call.

    The first call for a directory makes the file with one token, and prints the token to stdout. Of several processes
    that do this at the same time, one makes the file and prints, and all use it.

    Returns:
        the configuration as it is if it names a file of tokens, or allows everyone in; no file is made then.

    Raises:
        ConfigError: the file cannot be made.
    """
    if config.auth.tokens_file is not None or config.auth.allow_anonymous:
        return config
    path = data_dir.absolute() / FILE_NAME
    try:
        _make_if_missing(path)
    except OSError as error:
        raise ConfigError(
            f"--make-token: {path} cannot be made: {error.strerror}; let user {os.getuid()} write to {path.parent}, or "
            "set [auth] tokens_file (SHARQ_AUTH_TOKENS_FILE), or [auth] allow_anonymous = true "
            "(SHARQ_AUTH_ALLOW_ANONYMOUS) if the network keeps strangers out"
        ) from error
    return msgspec.structs.replace(config, auth=msgspec.structs.replace(config.auth, tokens_file=path))


def _make_if_missing(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        log.info("tokens_in_force path=%s: for a new first token, remove the file and start again", path)
        return
    token, line = new_token(TOKEN_NAME)
    if _write_new(path, f"{_COMMENT}{line}\n"):
        announce(_MESSAGE.format(token=token, path=path))


def _write_new(path: Path, text: str) -> bool:
    """Write a new file with mode 0600, whole or not at all; return False if another process made it first."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(name, path)  # a rename would replace the file of another process
    except FileExistsError:
        return False
    finally:
        Path(name).unlink()
    return True
