"""Explains in plain text why a router has no link to a shard.

The texts appear in the log, at /readyz and /cluster/, and in error messages for clients.
"""

from __future__ import annotations

import aiohttp

from sharq_core.logs.advice import LINKS, with_advice
from sharq_core.logs.reasons import why_unreachable

_BY_STATUS = {
    400: "the peer expects TLS, which this router does not use, or is not a shard (400)",
    403: "it requires a certificate signed by its authority (403)",
    404: "the peer is not a shard (404)",
    503: "it has stopped (503)",
}


def why_not_connected(error: Exception, waited_s: float, *, has_tls: bool) -> str:
    """Return why no link could be established, in plain text, with the setting to change.

    Args:
        waited_s: the timeout for a silent shard, in seconds.
        has_tls: True if this router uses TLS on links.
    """
    return with_advice(_why(error, waited_s, has_tls=has_tls), LINKS)


def why_link_ended(reason: str) -> str:
    """Return the reason of a link's end with the setting to change, if there is one."""
    return with_advice(reason, LINKS)


def _why(error: Exception, waited_s: float, *, has_tls: bool) -> str:
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
        return f"it cannot be connected to: no answer within {waited_s:.3g} s"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        explanation = _BY_STATUS.get(error.status)
        return f"it refuses the link: {explanation or f'the peer answered {error.status}'}"
    return f"it cannot be connected to: {why_unreachable(error) or _why_closed(error, has_tls=has_tls)}"


def _why_closed(error: Exception, *, has_tls: bool) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        if has_tls:
            return "it closed the connection, probably because it does not accept this router's certificate"
        return "it closed the connection, probably because it expects TLS"
    return f"the connection failed ({type(error).__name__})"
