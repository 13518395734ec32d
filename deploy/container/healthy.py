#!/usr/bin/env python3
"""Say whether the program of this container is alive: exit status 0 if GET /healthz answers 200, 1 if not.

  healthy [PORT ...]        the ports to try; without one 8080 and 8090, where routers, servers and shards listen

The program may listen on the loopback or on the container's own address, over HTTP or HTTPS. Its certificate is not
checked, because nothing secret is sent. It is the liveness of one program, whose event loop answers; whether requests
should be sent there says /readyz.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import sys

TIMEOUT_S = 2.0


def answers(host: str, port: int, tls: ssl.SSLContext | None) -> bool:
    """Return True if /healthz answers 200."""
    connection = (
        http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=tls)
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(words: list[str]) -> int:
    """Return the exit status."""
    ports = [int(word) for word in words] or [8080, 8090]
    hosts = ("127.0.0.1", socket.gethostname())
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    if any(
        answers(host, port, tls) for port, host, tls in itertools.product(ports, hosts, (None, unchecked))
    ):
        return 0
    sys.stderr.write(f"nothing answers /healthz with 200 on port {' or '.join(map(str, ports))}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
