"""The model's results of finished jobs, within a bound of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.scheduler.stored.outputs import parse_book, parse_results, result_size


@dataclass
class Kept:
    """A result. at_us: when its job finished."""

    token: str | None
    text: bytes
    at_us: int


class KeptResults:
    """The results by `type:queue_id:job_id`. The oldest go first, but not those of the same call.

    dropped: how many of them made room for others before their time.
    """

    def __init__(self, limit_bytes: int, retention_us: int) -> None:
        self.limit_bytes = limit_bytes
        self.retention_us = retention_us
        self.held: dict[str, Kept] = {}
        self.dropped = 0
        self._of_call: set[str] = set()

    def check(self, raw: dict[str, dict[bytes, Any]]) -> None:
        """The store (records.read_raw) has the same results, and has counted the same that made room."""
        assert parse_results(raw) == {name: kept.text for name, kept in self.held.items()}
        assert parse_book(raw["counters"].get(b":results"))[1] == self.dropped

    def begin_call(self) -> None:
        """From now on, results belong to another call."""
        self._of_call = set()

    def keep(self, name: str, result: Kept) -> bool:
        """Keep the result of a job instead of that of an earlier job of the same id, if there is room."""
        self.held.pop(name, None)
        size = result_size(name, result.text)
        if self._bytes(self._of_call) + size > self.limit_bytes:
            return False
        for other in self._in_order():
            if self._bytes(self.held) + size > self.limit_bytes and other not in self._of_call:
                self._drop(other, result.at_us)
        self.held[name] = result
        self._of_call.add(name)
        return True

    def find(self, name: str, token: str | None) -> bytes | None:
        """The result of the job that a lease finished."""
        kept = self.held.get(name)
        return kept.text if kept and kept.token == token else None

    def trim(self, now_us: int) -> None:
        """Drop what is too old."""
        for name in self._in_order():
            if (
                now_us - self.held[name].at_us < self.retention_us
                and self._bytes(self.held) <= self.limit_bytes
            ):
                return
            self._drop(name, now_us)

    def _drop(self, name: str, now_us: int) -> None:
        self.dropped += now_us - self.held.pop(name).at_us < self.retention_us

    def _in_order(self) -> list[str]:
        return sorted(self.held, key=lambda name: (self.held[name].at_us, name, len(self.held[name].text)))

    def _bytes(self, names: set[str] | dict[str, Kept]) -> int:
        return sum(result_size(name, self.held[name].text) for name in names)
