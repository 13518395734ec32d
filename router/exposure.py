"""Refuses to serve, or warns, if the API has a public address and requires no token.

Not here: the definition of a public address (sharq_core/process/listening.py), and the same check for the link
(shard/main.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from socket import socket

from sharq_core.config import Address, AuthSettings
from sharq_core.errors import ConfigError
from sharq_core.process.listening import public_address

log = logging.getLogger("sharq.router")


def refuse_exposed(sockets: Sequence[socket], auth: AuthSettings) -> None:
    """Raise if the API is open to everyone and the operator has not allowed that. `sharq-router` calls it.

    Raises:
        ConfigError: the address is public, no token is required, and [auth] allow_anonymous is not set.
    """
    exposed = _exposed(sockets, auth)
    if exposed is not None:
        raise ConfigError(
            f"{exposed} can be reached from other machines, and the API requires no token: set [auth] tokens_file, or "
            "[auth] allow_anonymous = true if the network keeps strangers out"
        )


def warn_of_exposure(sockets: Sequence[socket], auth: AuthSettings) -> None:
    """Log a warning if the API is open to everyone and the operator has not allowed that.

    `sharq-server` calls it and goes on: the original served everyone, and its configuration files must still work.
    """
    exposed = _exposed(sockets, auth)
    if exposed is not None:
        log.critical(
            "open_to_everyone address=%s: anyone who reaches it can read, lease and delete every job; set [auth] "
            "tokens_file, or [auth] allow_anonymous = true if the network keeps strangers out",
            exposed,
        )


def _exposed(sockets: Sequence[socket], auth: AuthSettings) -> Address | None:
    is_wanted = auth.tokens_file is not None or auth.allow_anonymous
    return None if is_wanted else public_address(sockets)
