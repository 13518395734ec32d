"""Refuses to serve, or warns, if a port has a public address and lets everyone in, or everyone can read a secret."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from socket import socket

from sharq_core.config import Address, AuthSettings, Config
from sharq_core.errors import ConfigError
from sharq_core.process.notices import Notices
from sharq_core.process.sockets import public_address

log = logging.getLogger("sharq.router")


def refuse_exposed_api(sockets: Sequence[socket], auth: AuthSettings) -> None:
    """Raise if the API is open to everyone and the operator has not allowed that. `sharq-router` calls it.

    Raises:
        ConfigError: the address is public, no token is required, and [auth] allow_anonymous is not set.
    """
    exposed = _exposed(sockets, auth, is_guarded=auth.tokens_file is not None)
    if exposed is not None:
        raise ConfigError(
            f"{exposed} can be reached from other machines, and the API requires no token: set [auth] tokens_file "
            "(SHARQ_AUTH_TOKENS_FILE; sharq-server --new-token NAME makes a token and its line), or [auth] "
            "allow_anonymous = true (SHARQ_AUTH_ALLOW_ANONYMOUS) if the network keeps strangers out"
        )


def warn_of_exposed_api(sockets: Sequence[socket], auth: AuthSettings) -> None:
    """Log a warning if the API is open to everyone and the operator has not allowed that.

    `sharq-server` calls it and goes on: the original served everyone, and its configuration files must still work.
    """
    exposed = _exposed(sockets, auth, is_guarded=auth.tokens_file is not None)
    if exposed is not None:
        log.critical(
            "open_to_everyone address=%s: anyone who reaches it can read, lease and delete every job; set [auth] "
            "tokens_file, or start with --make-token, or set [auth] allow_anonymous = true if the network keeps "
            "strangers out",
            exposed,
        )


def refuse_exposed_link(sockets: Sequence[socket], config: Config) -> None:
    """Raise if the link is open to everyone and the operator has not allowed that. `sharq-shard` calls it.

    A peer that speaks the link protocol may do everything.

    Raises:
        ConfigError: the address is public, there is no secret, and [auth] allow_anonymous is not set.
    """
    exposed = _exposed(sockets, config.auth, is_guarded=config.cluster.secret is not None)
    if exposed is not None:
        raise ConfigError(
            f"{exposed} can be reached from other machines, and the link has no secret: set [cluster] secret, or "
            "[auth] allow_anonymous = true if the network keeps others out"
        )


def warn_of_readable_secrets(config: Config, notices: Notices) -> None:
    """Log each secret that everyone on the machine can read, and keep it among the notices for operators."""
    for line in config.readable_secrets:
        log.warning("secret_readable_by_all %s", line)
        notices.tell(f"secret {line}", line, is_public=False)


def _exposed(sockets: Sequence[socket], auth: AuthSettings, *, is_guarded: bool) -> Address | None:
    return None if is_guarded or auth.allow_anonymous else public_address(sockets)
