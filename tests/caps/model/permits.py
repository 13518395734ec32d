"""The model of permits: how a cap bounds the leases at one time over many partitions.

A permit is made with the slot of a lease, before the lease begins. It ends when the lease is settled, or by the
ledger's clock when that lease cannot be live any longer. So there may be fewer leases than the cap allows, and never
more.
"""

from __future__ import annotations

from msgspec import Struct, field

from tests.caps.model.ledger import MIN_GRACE_US, SERIALS_OF_A_SERVER

MARGIN_US = 15_000_000
"""Time for which a permit outlasts its lease. The queue's server may lose up to ten seconds of time at a step back
of its clock, because nodes mark a partition with leases as in use so often (store-clock.md)."""

EXTEND_WITHIN_US = 5_000_000
"""Time after the renewal of its permits within which an extend may run."""


class Ledger(Struct):
    """The permits of one cap.

    Attributes:
        ends: serial → when it ends by itself.
        longest_us: the longest lease of any permit. It is kept as changes of the cap are.
        blocked_until_us: there are no new permits before this time, because some may be unknown.
    """

    max_leased: int
    ends: dict[int, int] = field(default_factory=dict)
    serial: int = 0
    latest_us: int = 0
    longest_us: int = 0
    blocked_until_us: int = 0

    def take(self, told_us: int, want: int, ahead_us: int, lease_us: int) -> list[int]:
        """Make up to `want` permits for leases of lease_us that begin within ahead_us and the grace."""
        now_us = self._now(told_us)
        if now_us < self.blocked_until_us:
            return []
        self.longest_us = max(self.longest_us, lease_us)
        count = max(0, min(want, self.max_leased - len(self.ends)))
        made = list(range(self.serial + 1, self.serial + count + 1))
        self.serial += count
        self.ends.update(dict.fromkeys(made, now_us + ahead_us + MIN_GRACE_US + lease_us + MARGIN_US))
        return made

    def settle(self, told_us: int, serials: list[int]) -> None:
        """End permits whose leases have ended. It is safe to repeat, because serials are."""
        self._now(told_us)
        for serial in serials:
            self.ends.pop(serial, None)

    def renew(self, told_us: int, serial: int, lease_us: int) -> bool:
        """Let a permit last as long as its lease will after an extend that runs soon. False if it has ended."""
        now_us = self._now(told_us)
        if serial not in self.ends:
            return False
        self.longest_us = max(self.longest_us, lease_us)
        end_us = now_us + EXTEND_WITHIN_US + lease_us + MARGIN_US
        self.ends[serial] = max(self.ends[serial], end_us)
        return True

    def fail_over(self, told_us: int) -> None:
        """Wait until every permit that this server may lack has ended."""
        now_us = self._now(told_us)
        self.serial += SERIALS_OF_A_SERVER
        reach_us = now_us + EXTEND_WITHIN_US + self.longest_us + MARGIN_US
        self.blocked_until_us = max(self.blocked_until_us, reach_us)

    def _now(self, told_us: int) -> int:
        now_us = self.latest_us = max(self.latest_us, told_us)
        self.ends = {serial: end_us for serial, end_us in self.ends.items() if end_us > now_us}
        return now_us
