"""Represents numbers that are drawn as a plot."""

from __future__ import annotations

import msgspec


class Curve(msgspec.Struct, frozen=True):
    """One plot.

    Attributes:
        series: name → points (x, y), x ascending.
        is_log: True if the x axis is logarithmic; every x is over 0 then.
    """

    title: str
    x_label: str
    y_label: str
    series: dict[str, list[tuple[float, float]]]
    is_log: bool = True
