"""Tabs: the same step for curl and for Python.

In the repository they are two blocks of code with an empty line between them; the site shows one of them at a time.
"""

from __future__ import annotations

import re

_BLOCK = r"```(\w+)\n(?:(?!```).*\n)*?```\n"
_PAIR = re.compile(rf"^{_BLOCK}\n(?:```python\n)(?:(?!```).*\n)*?```\n", re.MULTILINE)
_ONE = re.compile(r"^```(\w+)\n((?:(?!```).*\n)*?)```\n", re.MULTILINE)


def join_tabs(markdown: str) -> str:
    """Return the Markdown with each console block that a Python block follows at once joined to it as two tabs."""
    return _PAIR.sub(lambda found: _tabs(found[0]) if found[1] == "console" else found[0], markdown)


def _tabs(pair: str) -> str:
    return "".join(_tab(block[1], block[2]) for block in _ONE.finditer(pair))


def _tab(language: str, code: str) -> str:
    """Return one block as a tab, named by what it is written in."""
    names = {"python": "Python"}
    name = names.get(language, "curl" if code.startswith("$ curl") else "Shell")
    lines = [f"```{language}", *code.splitlines(), "```"]
    return f'=== "{name}"\n\n' + "".join(f"    {line}\n" if line else "\n" for line in lines) + "\n"
