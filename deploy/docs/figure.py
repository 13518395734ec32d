"""Draws the pictures of the documentation as SVG, which follows the light or dark scheme of whatever shows it."""

from __future__ import annotations

from html import escape

_LIGHT = (
    "--ink:#1f2328;--quiet:#59636e;--line:#8c959f;--fill:#f3f5f8;--one:#3f51b5;--two:#c2410c;--tint:#e3e7fb"
)
_DARK = (
    "--ink:#e6e8ee;--quiet:#a3abb8;--line:#6b7482;--fill:#2a2e3a;--one:#93a4ff;--two:#ff9d66;--tint:#343b63"
)
_STYLE = f"""
.sharq-drawing {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ .sharq-drawing {{ {_DARK} }} }}
[data-md-color-scheme=default] .sharq-drawing {{ {_LIGHT} }}
[data-md-color-scheme=slate] .sharq-drawing {{ {_DARK} }}
.sharq-drawing text {{ font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink) }}
.sharq-drawing .small {{ font-size: 13px; fill: var(--quiet) }}
.sharq-drawing .strong {{ font-weight: 600 }}
.sharq-drawing .box {{ fill: var(--fill); stroke: var(--line); stroke-width: 1.5 }}
.sharq-drawing .tinted {{ fill: var(--tint); stroke: var(--one); stroke-width: 1.5 }}
.sharq-drawing .line {{ fill: none; stroke: var(--line); stroke-width: 1.5 }}
.sharq-drawing .dashed {{ stroke-dasharray: 5 4 }}
.sharq-drawing .one {{ fill: var(--one); stroke: none }}
.sharq-drawing .two {{ fill: var(--two); stroke: none }}
.sharq-drawing .one-line {{ fill: none; stroke: var(--one); stroke-width: 2 }}
.sharq-drawing .two-line {{ fill: none; stroke: var(--two); stroke-width: 2 }}
.sharq-drawing .head {{ fill: var(--line); stroke: none }}
"""
"""The last two rules of the colours are for a page of the site, whose scheme the reader may switch."""


class Figure:
    """A drawing. Lengths are in units of its own, of which `width` fill the line of text.

    Args:
        title: what it shows, for readers who do not see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = f"0 0 {width} {height}"
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> None:
        """Write a line of text whose foot is at y."""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{_class(kind)}>{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, words: str = "", kind: str = "box"
    ) -> None:
        """Draw a box with a line of text in its middle."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"{_class(kind)}/>'
        )
        if words:
            self.text(x + width / 2, y + height / 2 + 5, words)

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a bar without a border."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{_class(kind)}/>'
        )

    def dot(self, x: float, y: float, kind: str, radius: float = 4) -> None:
        """Draw a dot."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:g}" r="{radius:g}"{_class(kind)}/>')

    def path(self, points: list[tuple[float, float]], kind: str = "line") -> None:
        """Draw a line through points."""
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{steps}"{_class(kind)}/>')

    def arrow(self, points: list[tuple[float, float]], kind: str = "line") -> None:
        """Draw a line with a head at its last point; its last step is level or upright."""
        self.path(points, kind)
        (x0, y0), (x, y) = points[-2:]
        if x == x0:
            back = 8 if y > y0 else -8
            corners = [(x, y), (x - 4.5, y - back), (x + 4.5, y - back)]
        else:
            back = 8 if x > x0 else -8
            corners = [(x, y), (x - back, y - 4.5), (x - back, y + 4.5)]
        shape = " ".join(f"{a:g},{b:g}" for a, b in corners)
        self._parts.append(f'<polygon points="{shape}"{_class("head")}/>')

    def svg(self) -> str:
        """Return the text of the file."""
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="sharq-drawing" viewBox="{self._size}" role="img">\n'
            f"<title>{escape(self._title)}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n"
        )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
