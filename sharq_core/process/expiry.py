"""Logs when the certificate that this process presents has expired.

Otherwise only the peers that refuse it would notice.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from sharq_core.logs.troubles import Trouble

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0

_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's codes."""


async def watch_certificate(setting: str, cert: Path, key: Path) -> None:
    """Check a certificate now and every ten minutes, until cancelled."""
    trouble = Trouble(log, "certificate_refused_by_all", "setting=%r", ": renew it")
    while True:
        reason = await asyncio.to_thread(why_not_valid, cert, key)
        if reason is not None:
            trouble.note(reason, setting)
        elif (invalid_s := trouble.end()) is not None:
            log.info("certificate_valid setting=%r invalid_s=%.0f", setting, invalid_s)
        await asyncio.sleep(LOOK_EVERY_S)


def why_not_valid(cert: Path, key: Path) -> str | None:
    """Return why every client refuses a certificate now; None if it is valid or if its files cannot be used.

    The check is a handshake in memory with a client that trusts just this certificate.
    """
    try:
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.load_cert_chain(cert, key, password="")
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cert)
        _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message) if error.verify_code in (_NOT_YET_VALID, _EXPIRED) else None
    except (ssl.SSLError, OSError):
        return None
    return None


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Run a TLS handshake in memory; raise ssl.SSLError if the client does not accept the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    for _ in range(5):
        waiting = 0
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return
