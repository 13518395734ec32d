"""What happens when the API is served to other machines and asks nobody for a token.

Not here: which address is public (sharq_core/process/listening.py), and the link's side of it (shard/main.py).
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
    """For `sharq-router`.

    Raises:
        ConfigError: anyone who reaches the address could do everything, and nobody has said that this is wanted.
    """
    exposed = _exposed(sockets, auth)
    if exposed is not None:
        raise ConfigError(
            f"{exposed} can be reached from other machines, and the API asks for no token: set [auth] tokens_file, or "
            "[auth] allow_anonymous = true where the network keeps others out"
        )


def warn_of_exposure(sockets: Sequence[socket], auth: AuthSettings) -> None:
    """For `sharq-server`, which goes on: the original served everyone, and its files must work."""
    exposed = _exposed(sockets, auth)
    if exposed is not None:
        log.critical(
            "open_to_everyone address=%s: whoever reaches it may read, take and delete every job; set [auth] "
            "tokens_file, or [auth] allow_anonymous = true where the network keeps others out",
            exposed,
        )


def _exposed(sockets: Sequence[socket], auth: AuthSettings) -> Address | None:
    is_wanted = auth.tokens_file is not None or auth.allow_anonymous
    return None if is_wanted else public_address(sockets)
