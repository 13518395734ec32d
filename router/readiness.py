"""Holds the readiness of this router. The start and stop of the process set it; /readyz reads it."""

from __future__ import annotations

from collections.abc import Callable


class Readiness:
    """The readiness of a router: ready while `reason` is None.

    Attributes:
        why_not: returns the reason while the process serves; None if it is ready.
        warning: returns a problem that all routers share, so that it makes none of them unready; None for no problem.
        is_draining: True if the process stops soon. Requests are still served, and their connections closed afterwards.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.why_not: Callable[[], str | None] = lambda: reason
        self.warning: Callable[[], str | None] = lambda: None
        self.is_draining = False
        self._when_draining: list[Callable[[], object]] = []

    @property
    def reason(self) -> str | None:
        """The reason, for people, why a load balancer should send no requests here; None if ready."""
        return "draining" if self.is_draining else self.why_not()

    def when_draining(self, call: Callable[[], object]) -> None:
        """Call a function once the process drains."""
        self._when_draining.append(call)

    def drain(self) -> None:
        """Report not ready from now on, for good."""
        self.is_draining = True
        for call in self._when_draining:
            call()
