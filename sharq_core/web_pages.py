"""Detects requests that a web page of another site caused, by the headers that browsers send.

A page of another site can make its visitor's browser send simple requests to addresses that only the visitor reaches
(the loopback, a company's network). The page cannot read the answers, unless its own host name resolves to that address
(DNS rebinding). A browser names the page in headers that no page can forge: `Origin`, `Sec-Fetch-Site`, `Host`. Callers
(router/http/gate.py, shard/http.py) decide what to answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from multidict import istr

ORIGIN: Final = istr("Origin")
SITE: Final = istr("Sec-Fetch-Site")
REFERER: Final = istr("Referer")
HOST: Final = istr("Host")
_NAMES: Final = (ORIGIN, SITE, REFERER)

_OWN_SITES = frozenset({"same-origin", "none"})
"""`none` means that a person typed the address or opened a bookmark."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ORIGIN_FORM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@\s]+)(?P<rest>[/?#].*)?", re.I | re.S
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(:(?P<port>[0-9]{0,5}))?")


def is_origin(text: str) -> bool:
    """Return True if the text is exactly `scheme://host` or `scheme://host:port`."""
    match = _ORIGIN_FORM.fullmatch(text)
    return match is not None and match["rest"] is None and _place(text, match["scheme"]) is not None


def foreign_page(headers: Mapping[str, str], allowed_origins: frozenset[str] = frozenset()) -> str | None:
    """Return the name of the header that shows a page of another site caused the request; None if there is none.

    Args:
        headers: the request's headers; names compare without case.
        allowed_origins: origins, in lower case, from which pages may call.
    """
    origin = headers.get(ORIGIN)
    site = headers.get(SITE)
    if origin is not None:
        if origin.lower() in allowed_origins:
            return None
        return None if _is_same(origin, headers) and site != "cross-site" else "Origin"
    if site is not None:
        return None if site.strip().lower() in _OWN_SITES else "Sec-Fetch-Site"
    referer = headers.get(REFERER)
    if referer is None or _is_same(referer, headers) or not _ORIGIN_FORM.match(referer):
        return None
    match = _ORIGIN_FORM.fullmatch(referer)
    is_allowed = match is not None and f"{match['scheme']}://{match['authority']}".lower() in allowed_origins
    return None if is_allowed else "Referer"


def is_from_browser(headers: Mapping[str, str]) -> bool:
    """Return True if a web page of any site caused the request."""
    return any(name in headers for name in _NAMES)


class Hosts:
    """The host names under which a server may be addressed, as protection against DNS rebinding.

    Args:
        allowed: host names and addresses without ports, in addition to the loopback's; `*` allows all.
        is_bound: False accepts every name.
    """

    def __init__(self, allowed: Iterable[str] = (), *, is_bound: bool = False) -> None:
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)
        self._takes_all = not is_bound or "*" in self._allowed

    def refused(self, headers: Mapping[str, str], target_host: str | None = None) -> str | None:
        """Return the host name that is not allowed; None if the request is accepted.

        A request with a missing or empty Host is accepted: no browser sends one.

        Args:
            target_host: the host of an absolute request target, which is checked in addition to the header.
        """
        if self._takes_all:
            return None
        host = headers.get(HOST)
        if target_host is not None and not self._may(target_host):
            return target_host
        if not host:
            return None
        match = _AUTHORITY.fullmatch(host)
        return None if match is not None and self._may(match["host"]) else host

    def takes_address(self, headers: Mapping[str, str]) -> bool:
        """Return True if Host is an IP address, which DNS rebinding cannot use."""
        match = _AUTHORITY.fullmatch(headers.get(HOST, ""))
        return match is not None and _address(match["host"]) is not None

    def _may(self, host: str) -> bool:
        bare = host.strip("[]").lower().rstrip(".")
        if bare in self._allowed or bare == "localhost" or bare.endswith(".localhost"):
            return True
        address = _address(bare)
        return address is not None and (address.is_loopback or str(address) in self._allowed)


def _is_same(origin: str, headers: Mapping[str, str]) -> bool:
    """Return True if an origin, or the address of a page, has this server's host and port.

    The scheme is not compared, because a proxy in front may terminate TLS.
    """
    match = _ORIGIN_FORM.fullmatch(origin)
    host = headers.get(HOST)
    if match is None or not host or match["scheme"].lower() not in _DEFAULT_PORTS:
        return False
    place = _place(f"x://{match['authority']}", match["scheme"])
    return place is not None and place == _place(f"x://{host}", match["scheme"])


def _place(origin: str, scheme: str) -> tuple[str, int] | None:
    """Return (host, port) with the scheme's default port if none is given; None if the authority is malformed."""
    match = _AUTHORITY.fullmatch(origin.partition("://")[2])
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS.get(scheme.lower(), 0)
    return match["host"].lower().rstrip("."), port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
