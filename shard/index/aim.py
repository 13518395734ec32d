"""Learns how early a dequeue must be planned to reach the store just when a queue becomes due.

The clock of the server tells the time of the fastest call's way (sharq_core/clock.py). Making the calls of a wave, and
the other work of this process and of the store, take longer than that, by a time that depends on machine and load.
"""

from __future__ import annotations

EARLY_OF = 10
"""The lead lets one call in this many arrive early. An early call leases nothing, and its queue waits for the next."""

EARLY_BESIDE_OF = 2
"""The same for calls that leave beside calls to due queues. Otherwise they would leave a wave later."""

STEP_S = 2e-6
"""The increase of a lead after a call that was not early. The decrease after an early call is larger, so that the share
of early calls settles at the one above.
"""

MOST_S = 0.001
"""The longest lead: busy seconds must not let the calls after them leave far too early."""


class Aim:
    """The leads of the calls of one node, in seconds.

    Attributes:
        lead_s: how much earlier than by the fastest way a call is planned.
        beside_s: the same of a call that leaves beside others.
    """

    def __init__(self) -> None:
        self.lead_s = 0.0
        self.beside_s = 0.0

    def learn(self, delay_s: float) -> None:
        """Adjust the leads after a call.

        Args:
            delay_s: the time from its plan to its run in the store, less the way of the fastest call.
        """
        step_s = STEP_S if delay_s >= self.lead_s else -STEP_S * (EARLY_OF - 1)
        self.lead_s = min(max(self.lead_s + step_s, 0.0), MOST_S)
        step_s = STEP_S if delay_s >= self.beside_s else -STEP_S * (EARLY_BESIDE_OF - 1)
        self.beside_s = min(max(self.beside_s + step_s, self.lead_s), MOST_S)
