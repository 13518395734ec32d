"""Builds the URLs of requests: paths of verbs and identifiers, and their queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from sharq_client import errors

_CHARACTERS = "A-Z a-z 0-9 _ - . + @"
_JOB = ("queue_type", "queue_id", "job_id")
_NAMES = {"batch": ("queue_type", "batch"), "schedule": ("name",), "window": ("name",), "cap": ("name",)}
"""The names of the identifiers in the paths that are not about a type, a queue or a job."""

_IDS = frozenset({"queue_id", "job_id", "batch"})
"""The identifiers that may have colons, and slashes between parts of them."""


def path_of(verb: str, *identifiers: str) -> str:
    """Return the path of a verb and its identifiers, `/verb/<first>/<second>/`, each percent-encoded.

    Raises:
        InvalidRequest: an identifier is no string, or it is empty, `.` or `..`, which proxies normalize away. Nothing
            was sent.
    """
    for name, identifier in zip(_NAMES.get(verb, _JOB), identifiers, strict=False):
        if not isinstance(identifier, str) or identifier in {"", ".", ".."}:
            characters = f"{_CHARACTERS} : /" if name in _IDS else _CHARACTERS
            raise errors.InvalidRequest(
                f"{name}: expected a string of 1 to 100 of {characters}, got {identifier!r}"
            )
    return "/".join(["", verb, *(quote(identifier, safe="") for identifier in identifiers), ""])


def target_of(path: str, query: Mapping[str, object] | None) -> str:
    """Return a path with its query. Parameters that are None are left out, and a list is sent item by item."""
    present = {name: value for name, value in (query or {}).items() if value is not None}
    return path + (f"?{urlencode(present, doseq=True)}" if present else "")


def bases_of(url: str | Sequence[str]) -> tuple[str, ...]:
    """Return the base URLs of one server or several, without a slash at the end.

    Raises:
        ValueError: there is none, or one is not http://host:port or https://host:port, or has a user or a password.
    """
    urls = [url] if isinstance(url, str) else list(url)
    if not urls:
        raise ValueError("url: expected at least one")
    for each in urls:
        if "@" in each:
            # Not shown: it may hold a password. One connection would send it and the other would not.
            raise ValueError(
                "url: expected no user and no password in it; a token is given as `token`, or in SHARQ_TOKEN"
            )
        if not _is_base(each):
            raise ValueError(f"url: expected http://host:port or https://host:port, got {each!r}")
    return tuple(each.rstrip("/") for each in urls)


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # a port, an address or a name that is none
        return False
    return parts.scheme in {"http", "https"} and has_place and not parts.query and not parts.fragment
