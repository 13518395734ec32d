"""Why a router has no link to a shard, in words for anybody: they stand in the log, at /readyz and /cluster/, and in
what clients are told.
"""

from __future__ import annotations

import aiohttp

from sharq_core.logs.reasons import why_unreachable

_BY_STATUS = {
    400: "what listens there speaks TLS, and this router does not; or it is no shard (400)",
    403: "it asks for a certificate that its authority has signed (403)",
    404: "what listens there is no shard (404)",
    503: "it has stopped (503)",
}


def why_not_connected(error: Exception, waited_s: float, *, has_tls: bool) -> str:
    """Return why no link came about.

    Args:
        waited_s: how long a silent shard was waited for.
        has_tls: this router speaks TLS on links.
    """
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
        return f"it cannot be connected to: no answer within {waited_s:.3g} s"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        known = _BY_STATUS.get(error.status)
        return f"it refuses the link: {known or f'what listens there answers {error.status}'}"
    return f"it cannot be connected to: {why_unreachable(error) or _why_closed(error, has_tls)}"


def _why_closed(error: Exception, has_tls: bool) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        if has_tls:
            return "it closed the connection, as one does that does not accept this router's certificate"
        return "it closed the connection, as one does that expects TLS ([cluster] link_tls_cert) when it gets none"
    return f"the connection failed ({type(error).__name__})"
