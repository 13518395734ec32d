"""Pages and links of the repository, as the site has them.

The Markdown files of docs/ link to other files of the repository by their relative paths, as a code host wants it. On
the site, a file outside of docs/ is either a page of its own, such as the changelog, or a page that shows its text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_README_FILES = [*ROOT.glob("clients/*/README.md"), *ROOT.glob("examples/*/README.md")]

PAGES = {
    "README.md": "index.md",
    "docs/README.md": "pages.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "examples/README.md": "examples.md",
    "sharq_core/scheduler/lua/README.md": "lua.md",
    "deploy/helm/sharq/README.md": "chart.md",
    **{
        f"{path.parent.relative_to(ROOT)}/README.md": f"{path.parent.relative_to(ROOT)}.md"
        for path in _README_FILES
    },
}
"""Path of a Markdown file in the repository → its page. A file of docs/ that is not listed keeps its path."""

FENCE = re.compile(r"^( *)(```+|~~~+)")
_LINK = re.compile(r"(\]\()([^()\s]+)(\))")
_NAMED = re.compile(r"\[[\w./-]+\.md\](\(([^()\s#]+\.md)(?:#[^()\s]*)?\))")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_LANGUAGES = {
    "": "text",
    ".conf": "ini",
    ".cfg": "text",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".py": "python",
    ".json": "json",
}


def page_of(path: str) -> str | None:
    """Return the page of a file of the repository, or None if it has none of its own."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else None


def path_of(page: str) -> str:
    """Return the path in the repository of a page's Markdown."""
    known = {uri: path for path, uri in PAGES.items()}
    return known.get(page, f"docs/{page}")


def source_page(path: str) -> str:
    """Return the page that shows the text of a file, or the names in a folder."""
    return f"source/{path}.md"


def move_links(markdown: str, page: str) -> str:
    """Return the Markdown of a page with each link to a file of the repository turned into one to a page."""
    folder = os.path.dirname(path_of(page))

    def moved(link: str) -> str:
        path, mark, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:") or not path:
            return link
        target = os.path.normpath(os.path.join(folder, path))
        uri = page_of(target) or source_page(target)
        return os.path.relpath(uri, os.path.dirname(page) or ".") + mark + anchor

    return replace_links(markdown, moved)


def name_links(markdown: str, path: str) -> str:
    """Return the Markdown of a file with each link whose text is the name of a page named by the page's title."""
    folder = (ROOT / path).parent

    def named(found: re.Match[str]) -> str:
        title = _TITLE.search((folder / found[2]).read_text()) if (folder / found[2]).exists() else None
        return f"[{title[1]}]{found[1]}" if title else found[0]

    return _NAMED.sub(named, markdown)


def replace_links(markdown: str, replace: Callable[[str], str]) -> str:
    """Return the Markdown with the target of every link replaced; code is left as it is."""
    lines, fence = [], ""
    for line in markdown.splitlines(keepends=True):
        found = FENCE.match(line)
        if found and (not fence or found[2].startswith(fence)):
            fence = "" if fence else found[2]
        lines.append(line if fence or found else _replace_in_line(line, replace))
    return "".join(lines)


def _replace_in_line(line: str, replace: Callable[[str], str]) -> str:
    codes = [found.span() for found in _CODE.finditer(line)]

    def change(found: re.Match[str]) -> str:
        is_code = any(start <= found.start(2) < end for start, end in codes)
        return found[0] if is_code else found[1] + replace(found[2]) + found[3]

    return _LINK.sub(change, line)


def generated_pages(config: MkDocsConfig) -> Iterator[File]:
    """Yield the pages that docs/ does not hold: those of PAGES, and one for each file that a page links to."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - MkDocs has loaded it; nobody else needs it

    for path, uri in PAGES.items():
        yield File.generated(config, uri, abs_src_path=str(ROOT / path))
    for path in sorted(linked_files()):
        yield File.generated(config, source_page(path), content=shown(path))


def linked_files() -> set[str]:
    """Return the paths of the files and folders without a page that pages link to, with the files of each folder."""
    markdown = [*PAGES, *(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md"))]
    found: set[str] = set()

    for path in markdown:

        def note(link: str, folder: str = os.path.dirname(path)) -> str:
            target = os.path.normpath(os.path.join(folder, link.partition("#")[0]))
            is_file = "://" not in link and not link.startswith("#") and (ROOT / target).exists()
            if is_file and page_of(target) is None:
                found.add(target)
            return link

        replace_links((ROOT / path).read_text(), note)
    return found | {file for path in found for file in files_of(path)}


def files_of(path: str) -> list[str]:
    """Return the paths of the files in a folder; none for a file."""
    folder = ROOT / path
    if not folder.is_dir():
        return []
    return sorted(file.relative_to(ROOT).as_posix() for file in folder.iterdir() if file.is_file())


def shown(path: str) -> str:
    """Return the Markdown that shows a file's text, or the files of a folder."""
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# `{path}`\n\n"
    if (ROOT / path).is_dir():
        names = [os.path.basename(file) for file in files_of(path)]
        base = os.path.basename(path)
        return head + "".join(f"- [{name}]({base}/{name}.md)\n" for name in names)
    text = (ROOT / path).read_text()
    fence = "`" * max([4, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{head}{fence}{_LANGUAGES.get(Path(path).suffix, 'text')}\n{text}{fence}\n"
