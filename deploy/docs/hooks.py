"""The hooks of mkdocs.yml, which MkDocs calls by their names while it builds the site."""

from __future__ import annotations

import html as entities
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

from deploy.docs import repository
from deploy.docs.lists import indent_lists
from deploy.docs.tabs import join_tabs
from sharq_core.version import __version__

_DRAWING = re.compile(r'<img alt="([^"]*)" src="[^"]*images/([\w-]+\.svg)"\s*/?>')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show version and license, and give headings the anchors that code hosts give them."""
    config.copyright = f"SHARQ cluster {__version__} · MIT license"
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": slugify(case="lower")}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose Markdown is not in docs/; docs/README.md, the list of all pages, gets a name of its own."""
    index = files.get_file_from_path("README.md")
    if index is not None:
        files.remove(index)
    for file in repository.generated_pages(config):
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the Markdown that a code host shows into that of Python-Markdown, with links to pages instead of files."""
    del config, files
    if page.file.src_uri.startswith("source/"):
        return markdown
    uri = page.file.src_uri
    named = repository.name_links(markdown, repository.path_of(uri))
    return join_tabs(indent_lists(repository.move_links(named, uri)))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put drawings into the page itself, so that their colours follow the page's light or dark scheme."""
    del page, config, files
    return _DRAWING.sub(_inline, html)


def _inline(found: re.Match[str]) -> str:
    drawing = (Path(repository.DOCS) / "images" / found[2]).read_text()
    label = entities.escape(entities.unescape(found[1]), quote=True)
    return f'<span class="drawing" role="img" aria-label="{label}">{drawing.strip()}</span>'
