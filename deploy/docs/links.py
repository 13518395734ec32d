"""Asks every address of another host that the documentation names: `make docs-links`. Needs the network.

Ends with 1 if one is gone. Addresses that stand for the reader's own hosts, and those of this machine, are left out.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from deploy.docs.repository import ROOT, replace_links

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_AT_ONCE = 8
_OWN = re.compile(r"(^|\.)(example|localhost)(\.(com|net|org))?$|^[\d.]+$|^\[")
_GONE = {404, 410}
"""Other answers, such as 403 and 429, say that a program may not ask, not that the page is gone."""


def addresses(page: Path) -> list[str]:
    """Return the addresses of other hosts that a page links to, in order."""
    found: list[str] = []

    def note(link: str) -> str:
        if "://" in link:
            found.append(link)
        return link

    replace_links(page.read_text(), note)
    return found


def is_foreign(address: str) -> bool:
    """Return True if an address is one of another host, which can be asked."""
    return not _OWN.search(urlsplit(address).hostname or "localhost")


async def _problem(session: aiohttp.ClientSession, address: str, turns: asyncio.Semaphore) -> str | None:
    async with turns:
        try:
            async with session.get(address, allow_redirects=True) as answer:
                return f"{answer.status} {address}" if answer.status in _GONE else None
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__} {address}"


async def _check(found: list[str]) -> list[str]:
    turns = asyncio.Semaphore(_AT_ONCE)
    headers = {"User-Agent": "Mozilla/5.0 (link check of a documentation)"}
    async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers, trust_env=True) as session:
        outcomes = await asyncio.gather(*(_problem(session, address, turns) for address in found))
    return [outcome for outcome in outcomes if outcome]


def main() -> None:
    """Ask all addresses and print those that are gone."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = sorted({address for page in pages for address in addresses(page) if is_foreign(address)})
    problems = asyncio.run(_check(found))
    print(f"{len(found)} addresses, {len(problems)} cannot be reached or are gone")
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
