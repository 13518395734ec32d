"""Represents numbers that are drawn as a plot."""

from __future__ import annotations

import msgspec


class Curve(msgspec.Struct, frozen=True):
    """series: by name, points (x, y), x ascending; is_log: the x axis is logarithmic, and every x over 0."""

    title: str
    x_label: str
    y_label: str
    series: dict[str, list[tuple[float, float]]]
    is_log: bool = True
