"""Defines the options of a worker, and validates them when the worker is made."""

from __future__ import annotations

import msgspec

from sharq_client.worker.handlers.results import MAX_DELAY_S
from sharq_client.worker.outcomes import OnReported


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a worker. `Worker` explains them."""

    concurrency: int
    batch: int
    lease_ms: float
    wait_ms: float
    release_delay_ms: float | None
    stop_timeout_s: float
    on_reported: OnReported | None
    handle_signals: bool
    metrics_port: int | None
    metrics_host: str
    tracing: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: an option is out of its range, or no number.
        """
        _check("concurrency", self.concurrency, 1, is_whole=True)
        _check("batch", self.batch, 1, 1_000, is_whole=True)
        _check("lease_ms", self.lease_ms, 100, 86_400_000)
        _check("wait_ms", self.wait_ms, 0, 60_000)
        _check("release_delay_ms", self.release_delay_ms or 0, 0, MAX_DELAY_S * 1000)
        _check("stop_timeout_s", self.stop_timeout_s, 0)
        _check("metrics_port", self.metrics_port or 0, 0, 65_535, is_whole=True)


def _check(
    name: str, value: float, least: float, most: float | None = None, *, is_whole: bool = False
) -> None:
    if not isinstance(value, int if is_whole else int | float):
        kind = "a whole number" if is_whole else "a number"
        raise ValueError(f"{name}: expected {kind}, got {value!r}")  # noqa: TRY004 - as for one out of its range
    if not value >= least or (most is not None and not value <= most):
        expected = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise ValueError(f"{name}: expected {expected}, got {value}")
