"""Writes the tables of the chart's README, which list every value, from the lines and comments of values.yaml.

  python -m deploy.docs.chart_values

A test compares the README with values.yaml. There, a comment above a key is about all that follows under it, a comment
behind a key is about this one, and a line with nothing but a comment further to the right goes on with it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import msgspec

from deploy.docs.repository import ROOT

CHART = ROOT / "deploy" / "helm" / "sharq"
_LINE = re.compile(
    r"^(?P<indent> *)(?:(?P<key>[A-Za-z0-9_-]+):(?P<value>.*?))?(?:(?:^|(?<=\s))# ?(?P<comment>.*))?$"
)
_TABLES = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end of values -->)", re.DOTALL)


class Value(msgspec.Struct):
    """A key of values.yaml.

    Attributes:
        path: the key and those above it.
        default: its value as it is written there; empty for a key with others under it.
        above: the comment above it.
        behind: the comment behind it.
    """

    path: tuple[str, ...]
    default: str
    above: str
    behind: str


def read_values(text: str) -> list[Value]:
    """Return the keys of values.yaml in their order.

    Raises:
        ValueError: a line is neither a key nor a comment.
    """
    values: list[Value] = []
    above: list[str] = []
    indents: list[int] = []  # of the keys on the path of the last value
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"values.yaml, line {number}: neither a key nor a comment")
        indent, comment = len(match["indent"]), match["comment"] or ""
        if match["key"] is not None:
            depth = sum(outer < indent for outer in indents)
            path = (*values[-1].path[:depth], match["key"]) if values else (match["key"],)
            values.append(Value(path, match["value"].strip(), " ".join(above), comment))
            indents = [*indents[:depth], indent]
            above = []
        elif not comment:
            above = []
        elif indents and indent > indents[-1] + 2:
            values[-1].behind += f" {comment}"
        else:
            above.append(comment)
    return values


def tables(values: Sequence[Value]) -> str:
    """Return a section of Markdown for each key of the first level: what it is about, and its values."""
    lines: list[str] = []
    for value in values:
        if len(value.path) == 1:
            lines += ["", f"### {value.path[0]}", "", *_wrapped(value.above)]
            lines += ["| value | default | |", "|---|---|---|"]
        if value.default:
            words = ". ".join(_escaped(text) for text in (value.above, value.behind) if text)
            lines.append(f"| `{'.'.join(value.path)}` | `{value.default}` | {words} |".replace("|  |", "| |"))
        elif len(value.path) > 1 and (text := value.above or value.behind):
            lines.append(f"| `{'.'.join(value.path)}` | | {_escaped(text)} |")
    return "\n".join(lines[1:]) + "\n"


def fill(readme: str) -> str:
    """Return the README with the tables of values.yaml between its two marks."""
    made = tables(read_values((CHART / "values.yaml").read_text()))
    return _TABLES.sub(lambda _: made, readme)


def _wrapped(text: str) -> list[str]:
    """Return a paragraph and the blank line after it, or nothing for no text."""
    return [*textwrap.wrap(_escaped(text), 120), ""] if text else []


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    path = CHART / "README.md"
    path.write_text(fill(path.read_text()))
