"""Curves as pictures (SVG), by matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from benchmarks.errors import NotRun
from benchmarks.figures.curve import Curve

_SIZE_INCHES = (7.0, 4.0)


def draw(curve: Curve, path: Path) -> None:
    """Write a curve's plot: y from 0, a line for each series.

    Raises:
        NotRun: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise NotRun("no plot: matplotlib is missing (it is in the extra `bench`)")
    from matplotlib.figure import Figure  # noqa: PLC0415 - measuring needs no matplotlib

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot(title=curve.title, xlabel=curve.x_label, ylabel=curve.y_label)
    axes.set_xscale("log" if curve.is_log else "linear")
    if not curve.is_log:
        axes.set_xticks(sorted({x for points in curve.series.values() for x, _ in points}))
    for name, points in curve.series.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
