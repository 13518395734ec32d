"""Prints the checks of a run and turns them into an exit code."""

from __future__ import annotations

LEAST_SHARE = 0.6
"""The share of a promised rate that must be delivered even on a busy machine; on one at rest it is about 0.98."""


class Verdict:
    """The promises of an example, each with what was seen of it."""

    def __init__(self) -> None:
        self._broken: list[str] = []

    def check(self, promise: str, *, is_kept: bool, seen: str) -> None:
        """Print a promise, if it was kept, and what was seen."""
        print(f"  {'kept  ' if is_kept else 'BROKEN'}  {promise}: {seen}")
        if not is_kept:
            self._broken.append(promise)

    def exit_code(self) -> int:
        """Print the last line of the example and return 0 if every promise was kept, and else 1."""
        if self._broken:
            print(f"VERDICT: broken: {'; '.join(self._broken)}")
            return 1
        print("VERDICT: every promise was kept")
        return 0
