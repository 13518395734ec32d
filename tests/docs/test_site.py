"""The site is built from the pages as they are and asks no other host; a fault of a page fails its build."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from deploy.docs import delivered, drawings
from deploy.docs.lists import indent_lists
from deploy.docs.repository import PAGES, page_of
from deploy.docs.tabs import join_tabs
from sharq_core.version import __version__
from tests.docs.blocks import ROOT
from tests.docs.conftest import build

LOADED = re.compile(r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?(https?:)?//""")
LINKED = re.compile(r"""<link\b[^>]*\brel=["']?(?!canonical)[^>]*\bhref=["']?(https?:)?//""")
STYLED = re.compile(r"""(@import\s|url\()\s*["']?(https?:)?//""")


def html(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 50
    return found


def test_every_page_of_the_repository_is_a_page_of_the_site(site: Path) -> None:
    sources = [*PAGES, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    for source in sources:
        page = Path(page_of(source) or "")
        name = page.parent if page.stem in {"index", "README"} else page.with_suffix("")
        assert (site / name / "index.html").exists(), source


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for path in html(site):
        text = path.read_text()
        assert not LOADED.search(text) and not LINKED.search(text), path
    for path in site.rglob("*.css"):
        assert not STYLED.search(path.read_text()), path


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (LOADED, '<script async src="https://cdn.example/x.js">'),
        (LOADED, "<img alt=x src=//cdn.example/x.png>"),
        (LINKED, '<link rel="stylesheet" href="https://fonts.example/css">'),
        (STYLED, "@font-face { src: url(https://fonts.example/a.woff2) }"),
    ],
)
def test_a_thing_of_another_host_is_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_every_page_shows_version_and_license_and_no_way_to_edit_it(site: Path) -> None:
    for path in html(site):
        text = path.read_text()
        assert f"SHARQ cluster {__version__} · MIT license" in text, path
        assert 'rel="edit"' not in text, path


def test_a_link_to_a_file_of_the_repository_leads_to_a_page_that_shows_it(site: Path) -> None:
    assert 'href="../source/deploy/sharq.conf/"' in (site / "configuration" / "index.html").read_text()
    assert "job_expire_interval" in (site / "source" / "deploy" / "sharq.conf" / "index.html").read_text()
    assert 'href="../changelog/"' in (site / "operations" / "index.html").read_text()


@pytest.mark.slow
def test_faults_of_a_page_fail_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "forgotten.md").write_text(
        "# Forgotten\n\n[a](limits.md#no-such-heading) [b](gone.md)\n"
    )
    config = tmp_path / "mkdocs.yml"
    hooks = ROOT / "deploy" / "docs" / "hooks.py"
    config.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {tmp_path / 'docs'}\nhooks: [{hooks}]\nwatch: []\n"
    )
    done = build(tmp_path / "site", config)
    assert done.returncode != 0
    for fault in ("forgotten.md", "#no-such-heading", "gone.md"):
        assert fault in done.stderr, done.stderr


@pytest.mark.parametrize("name", drawings.FIGURES)
def test_a_drawing_is_what_its_script_draws(name: str) -> None:
    assert (drawings.IMAGES / f"{name}.svg").read_text() == drawings.FIGURES[name]().svg()


def test_the_picture_of_the_readme_is_drawn_from_the_measured_run() -> None:
    run = msgspec.json.decode(delivered.RUN.read_bytes(), type=delivered.Run)
    assert delivered.PICTURE.read_text() == delivered.draw(run).svg()
    for customer, times_s in zip(delivered.CUSTOMERS, run.leased_s, strict=True):
        gaps_s = sorted(after - before for before, after in pairwise(times_s))
        assert gaps_s[0] >= 0.9 / customer.rate_per_s - 0.002, customer.name


def test_lists_of_a_code_host_become_those_of_python_markdown() -> None:
    text = (
        "Text:\n1. one\n   more\n\n   ```sh\n   run\n     it\n   ```\n2. two\n   - inner\n     text\n\nEnd\n"
    )
    assert indent_lists(text) == (
        "Text:\n\n1. one\n    more\n\n    ```sh\n    run\n      it\n    ```\n2. two\n    - inner\n        text\n\nEnd\n"
    )


def test_a_shell_block_and_a_python_block_after_it_become_tabs() -> None:
    text = "```console\n$ curl x\n```\n\n```python\nx = 1\n```\n\n```console\n$ curl y\n```\n"
    joined = join_tabs(text)
    assert joined.startswith(
        '=== "curl"\n\n    ```console\n    $ curl x\n    ```\n\n=== "Python"\n\n    ```python\n'
    )
    assert joined.endswith("```console\n$ curl y\n```\n")
