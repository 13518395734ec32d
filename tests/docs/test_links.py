"""Every link leads somewhere, on a code host as on the site: files, headings, and addresses by their form."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.docs.links import addresses, is_foreign
from deploy.docs.repository import replace_links
from tests.docs.blocks import ROOT, pages

PAGES = pages()
_FENCED = re.compile(r"^( *)(```+).*?^\1\2$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that a code host gives to the headings of a page."""
    counts: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", _FENCED.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text.replace("`", "")).replace(" ", "-")
        found.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return found


def links(page: Path) -> list[str]:
    found: list[str] = []

    def note(link: str) -> str:
        found.append(link)
        return link

    replace_links(page.read_text(), note)
    return found


def is_dead(page: Path, link: str) -> bool:
    """Return True if a link within the repository leads to no file, or to no heading of it."""
    path, _, anchor = link.partition("#")
    target = Path(os.path.normpath(page.parent / path)) if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_links_within_the_repository_lead_to_files_and_headings() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in links(page)
        if "://" not in link and not link.startswith("mailto:") and is_dead(page, link)
    ]
    assert dead == []


def test_addresses_of_other_hosts_are_well_formed() -> None:
    odd = [
        f"{page.relative_to(ROOT)}: {address}"
        for page in PAGES
        for address in addresses(page)
        if is_foreign(address) and not is_well_formed(address)
    ]
    assert odd == []


def is_well_formed(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    return parts.scheme == "https" and "." in host and host == host.strip(".") and " " not in address


@pytest.mark.parametrize("address", ["http://a.example.net", "https://nodots/x", "https:///x"])
def test_an_address_of_a_wrong_form_is_found(address: str) -> None:
    assert not is_well_formed(address)


def test_anchors_are_those_of_a_code_host(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `GET /x/`: a *way*\n## Twice\n## Twice\n```sh\n# no heading\n```\n### A [link](x.md) & more\n"
    )
    assert anchors(page) == {"get-x-a-way", "twice", "twice-1", "a-link--more"}
