"""Keeps the problems of this process itself, such as a certificate that ends soon, for /readyz and /cluster/."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct


class _Notice(Struct, frozen=True):
    text: str
    is_public: bool
    ends_at: float


class Notices:
    """The current problems of one process, each a sentence that names the setting to change.

    Args:
        clock: returns seconds of a clock that never steps back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notices: dict[str, _Notice] = {}

    def tell(
        self, name: str, text: str | None, *, is_public: bool = True, for_s: float = float("inf")
    ) -> None:
        """Set the notice of a problem; None clears it.

        Args:
            name: tells the problems apart.
            is_public: False keeps the notice out of /readyz, which needs no token.
            for_s: seconds after which the notice ends by itself.
        """
        if text is None:
            self._notices.pop(name, None)
        else:
            self._notices[name] = _Notice(text, is_public, self._clock() + for_s)

    def all(self) -> tuple[str, ...]:
        """Return every notice, the oldest problem first."""
        return tuple(notice.text for notice in self._current())

    def public(self) -> tuple[str, ...]:
        """Return the notices that anyone may read."""
        return tuple(notice.text for notice in self._current() if notice.is_public)

    def beside(self, *problems: str | None) -> str | None:
        """Return other problems and the notices that anyone may read as one text; None if there are none."""
        return "; ".join((*filter(None, problems), *self.public())) or None

    def _current(self) -> list[_Notice]:
        now = self._clock()
        return [notice for notice in self._notices.values() if now < notice.ends_at]
