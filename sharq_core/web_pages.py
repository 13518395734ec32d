"""Requests that a web page may have caused: a browser sends them from wherever its user is, with the user's reach.

A page of another site can send plain requests to an address that only its visitor reaches (the loopback, a company's
network). It cannot read the answers, unless its own host name leads to that address (DNS rebinding). A browser says
whose page it was in headers that no page can forge: `Origin`, `Sec-Fetch-Site`, `Host`. Not here: what is done with the
verdict (router/http/gate.py, shard/http.py).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from multidict import istr

_ORIGIN: Final = istr("Origin")
_SITE: Final = istr("Sec-Fetch-Site")
_REFERER: Final = istr("Referer")
_HOST: Final = istr("Host")
_NAMES: Final = (_ORIGIN, _SITE, _REFERER)

_OWN_SITES = frozenset({"same-origin", "none"})
"""`none` is a person who typed the address or took a bookmark."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ORIGIN_FORM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@\s]+)(?P<rest>[/?#].*)?", re.I | re.S
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(:(?P<port>[0-9]{0,5}))?")
_MAX_KNOWN = 100
"""Values of Host that are remembered as good."""


def is_origin(text: str) -> bool:
    """Return whether the text is `scheme://host` or `scheme://host:port`, and nothing more."""
    match = _ORIGIN_FORM.fullmatch(text)
    return match is not None and match["rest"] is None and _place(text, match["scheme"]) is not None


def foreign_page(headers: Mapping[str, str], allowed_origins: frozenset[str] = frozenset()) -> str | None:
    """Return which header says that another site's page caused the request; None for no such page.

    Args:
        headers: their names compare without case.
        allowed_origins: the origins, in lower case, whose pages may call.

    Cost: three look-ups for a request without such headers, 0.2 µs.
    """
    origin = headers.get(_ORIGIN)
    site = headers.get(_SITE)
    if origin is not None:
        if origin.lower() in allowed_origins:
            return None
        return None if _is_same(origin, headers) and site != "cross-site" else "Origin"
    if site is not None:
        return None if site.strip().lower() in _OWN_SITES else "Sec-Fetch-Site"
    referer = headers.get(_REFERER)
    if referer is None or _is_same(referer, headers) or not _ORIGIN_FORM.match(referer):
        return None
    match = _ORIGIN_FORM.fullmatch(referer)
    is_allowed = match is not None and f"{match['scheme']}://{match['authority']}".lower() in allowed_origins
    return None if is_allowed else "Referer"


def is_from_browser(headers: Mapping[str, str]) -> bool:
    """Return whether a page, of whatever site, caused the request."""
    return any(name in headers for name in _NAMES)


class Hosts:
    """The names under which a server may be asked, so that no page's own name can lead to it.

    Args:
        allowed: host names and addresses without ports, besides the loopback's; `*` for all.
        is_bound: whether names are looked at at all.
    """

    def __init__(self, allowed: Iterable[str] = (), *, is_bound: bool = False) -> None:
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)
        self._takes_all = not is_bound or "*" in self._allowed
        self._known: set[str] = set()

    def refused(self, headers: Mapping[str, str], target_host: str | None = None) -> str | None:
        """Return the name that is not one of this server's; None when the request may come in.

        A request without Host, and one with an empty Host, is of no browser.

        Args:
            target_host: the host of an absolute request target, which counts beside the header.
        """
        if self._takes_all:
            return None
        host = headers.get(_HOST)
        if target_host is not None and not self._may(target_host):
            return target_host
        if not host or host in self._known:
            return None
        match = _AUTHORITY.fullmatch(host)
        if match is None or not self._may(match["host"]):
            return host
        if len(self._known) < _MAX_KNOWN:
            self._known.add(host)
        return None

    def takes_address(self, headers: Mapping[str, str]) -> bool:
        """Return whether Host is an IP address: no page's name leads to it, since it is no name."""
        match = _AUTHORITY.fullmatch(headers.get(_HOST, ""))
        return match is not None and _address(match["host"]) is not None

    def _may(self, host: str) -> bool:
        bare = host.strip("[]").lower().rstrip(".")
        if bare in self._allowed or bare == "localhost" or bare.endswith(".localhost"):
            return True
        address = _address(bare)
        return address is not None and (address.is_loopback or str(address) in self._allowed)


def _is_same(origin: str, headers: Mapping[str, str]) -> bool:
    """Return whether an origin, or an address of a page, has this server's host and port.

    The scheme is not compared: a proxy in front may end the TLS.
    """
    match = _ORIGIN_FORM.fullmatch(origin)
    host = headers.get(_HOST)
    if match is None or not host or match["scheme"].lower() not in _DEFAULT_PORTS:
        return False
    place = _place(f"x://{match['authority']}", match["scheme"])
    return place is not None and place == _place(f"x://{host}", match["scheme"])


def _place(origin: str, scheme: str) -> tuple[str, int] | None:
    """Return host and port, the scheme's own port for none; None for what is no authority."""
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
