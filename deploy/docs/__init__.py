"""The documentation site: how the Markdown of this repository becomes the pages of mkdocs.yml."""
