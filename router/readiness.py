"""Holds the readiness of this router. The start and stop of the process set it; /readyz reads it."""

from __future__ import annotations

from collections.abc import Callable


class Readiness:
    """The readiness of a router: ready while `reason` is None.

    Attributes:
        reason: the reason, for people, why a load balancer should send no requests here; None if ready.
        warning: returns a problem that all routers share, so that it makes none of them unready; None for no problem.
        is_draining: True if the process stops soon. Requests are still served, and their connections closed afterwards.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        self.warning: Callable[[], str | None] = lambda: None
        self.is_draining = False
        self._when_draining: list[Callable[[], object]] = []

    def when_draining(self, call: Callable[[], object]) -> None:
        """Call a function once the process drains."""
        self._when_draining.append(call)

    def drain(self) -> None:
        """Report not ready from now on, for good."""
        self.is_draining = True
        self.reason = "draining"
        for call in self._when_draining:
            call()
