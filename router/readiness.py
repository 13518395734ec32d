"""Whether this router may take traffic. Whoever starts and stops the process sets it; /readyz reads it."""

from __future__ import annotations

from collections.abc import Callable


class Readiness:
    """Ready while `reason` is None.

    Attributes:
        reason: why a load balancer should send nothing here, in words for a person; None for ready.
        warning: what is wrong although a load balancer should send requests here, because others can do no more.
        is_draining: the process stops soon: what comes is still answered, and connections are closed after it.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        self.warning: Callable[[], str | None] = lambda: None
        self.is_draining = False

    def drain(self) -> None:
        """Not ready any more, for good."""
        self.is_draining = True
        self.reason = "draining"
