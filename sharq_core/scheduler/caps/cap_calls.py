"""Makes the calls about named caps, and decodes their replies. lua/caps.lua describes the ledger of a cap.

All methods take `not_after_us`, the time after which nothing is done and the reply is expired (those that write), and
`now_us` (None for the store's clock), for tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from sharq_core.caps import (
    MAX_TAKE,
    MOST_IN_PARTITION,
    CapDefinition,
    CapPage,
    CapReply,
    CapSlot,
    CapState,
    CapTakeStatus,
)
from sharq_core.limits import Limit
from sharq_core.partitions import partition_of
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.campaigns.quotas import UNITS
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import decode_flag, decoder
from sharq_core.scheduler.status_replies import BLOCKED_BY, as_short
from sharq_core.store.commands import Word

_TERMS = struct.Struct(">QHII6s6s6sB")
"""cap_take.lua's TERMS: not_after_us, slots, cost, weight, within, after and lease (µs), _ASKS_GRACE."""

_ASKS_GRACE = 1

_DEFINITION = struct.Struct(">QIIB6sB")
"""put_cap.lua's DEFINITION: not_after_us, most caps, max_leased, 1 if the hold changes, hold (µs), number of limits."""

_LIMIT = struct.Struct(">B6sIB")
"""put_cap.lua's LIMIT: unit, interval (µs), burst, hundredths of the burst."""

_SLOT = struct.Struct(">7s7s")
"""cap_return.lua's SLOT: due (µs), serial."""

_DURATION_BYTES = 6
_NUMBER_BYTES = 7
_ROW = 8
_LIMIT_REPLY = 3
_SLOTS_AT = 12


class CapCalls:
    """The maker of one deployment's calls about caps. Each goes to the home partition of the cap."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def home(self, name: str) -> int:
        """Return the partition that has the ledger of a cap, which does not depend on a ring."""
        return partition_of("cap", name, self._keys.partitions)

    def put_cap(
        self,
        partition: int,
        name: str,
        definition: CapDefinition,
        hold_us: int | None = None,
        *,
        most: int = MOST_IN_PARTITION,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[CapState | None]:
        """Define a cap, or replace its whole definition. Value: the cap; None if the partition has too many caps.

        Args:
            hold_us: no slot is due for this time from now; a hold only grows. 0 ends the hold, None leaves it.
        """
        head = _DEFINITION.pack(
            not_after_us or 0,
            most,
            definition.max_leased or 0,
            hold_us is not None,
            _duration(hold_us or 0),
            len(definition.limits),
        )
        arguments: list[Word] = [name, head + b"".join(map(_limit, definition.limits))]
        return make_call(self._keys, library.PUT_CAP, partition, "", now_us, arguments, _decode_cap)

    def get_cap(
        self, partition: int, name: str, *, now_us: int | None = None
    ) -> FunctionCall[CapState | None]:
        """Read a cap. Value: None if there is none of this name."""
        return make_call(self._keys, library.GET_CAP, partition, "", now_us, [name], _decode_cap)

    def drop_cap(
        self, partition: int, name: str, *, not_after_us: int | None = None, now_us: int | None = None
    ) -> FunctionCall[bool]:
        """Drop a cap. Value: False if there was none."""
        arguments: list[Word] = [not_after_us or 0, name]
        return make_call(self._keys, library.DROP_CAP, partition, "", now_us, arguments, decode_flag)

    def list_caps(
        self, partition: int, scan: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[CapPage]:
        """Read about `limit` (1 to MAX_BATCH) caps from the cursor `scan` on (0 at first), in no order.

        A page may be empty although more follow. A whole scan has every cap that exists throughout at least once.
        """
        arguments: list[Word] = [scan, min(limit, MAX_BATCH)]
        return make_call(self._keys, library.LIST_CAPS, partition, "", now_us, arguments, _decode_page)

    def cap_take(
        self,
        partition: int,
        name: str,
        node: str,
        want: int,
        *,
        weight: int = 1,
        units: int = 1,
        within_us: int = 0,
        after_us: int = 0,
        lease_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[CapReply]:
        """Reserve slots of a cap. A reserved slot counts as used.

        Args:
            node: the node that asks; nodes that ask at the same time get shares in proportion to their weights.
            want: the most slots, 1 to MAX_TAKE.
            weight: 1 or more.
            units: points of cost that each slot takes of limits of unit cost.
            within_us: a slot may be due so far ahead, at most the horizon of the cap; 0: only slots that are due now.
            after_us: a slot must be due at least so far ahead, at most within_us.
            lease_us: how long a lease may last that the slot is used for. A cap with max_leased gives no slot without
                it.
        """
        times = _duration(within_us), _duration(after_us), _duration(lease_us or 0)
        terms = _TERMS.pack(not_after_us or 0, min(want, MAX_TAKE), units, weight, *times, _ASKS_GRACE)
        arguments: list[Word] = [terms, name, node]
        return make_call(
            self._keys, library.CAP_TAKE, partition, "", now_us, arguments, _decode_take, min(want, MAX_TAKE)
        )

    def cap_return(
        self,
        partition: int,
        name: str,
        slots: Sequence[CapSlot],
        *,
        units: int = 1,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Give slots back that were not used and never will be. It is safe to repeat.

        Args:
            slots: up to MAX_TAKE of them.
            units: the points of cost with which all of them were reserved.

        Value: the number of slots that are free again. Slots that are due already stay reserved.
        """
        rows = [
            _SLOT.pack(slot.due_us.to_bytes(_NUMBER_BYTES), slot.serial.to_bytes(_NUMBER_BYTES))
            for slot in sorted(slots, key=lambda slot: slot.serial)
        ]
        arguments: list[Word] = [not_after_us or 0, name, units, b"".join(rows)]
        return make_call(
            self._keys, library.CAP_RETURN, partition, "", now_us, arguments, _decode_count, len(slots)
        )

    def cap_correct(
        self,
        partition: int,
        name: str,
        difference: int,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Correct the cost of a lease: later slots pay the difference, or come earlier if it is negative.

        Value: False if there is no such cap.
        """
        arguments: list[Word] = [not_after_us or 0, name, difference]
        return make_call(self._keys, library.CAP_CORRECT, partition, "", now_us, arguments, decode_flag)

    def cap_settle(
        self,
        partition: int,
        name: str,
        serials: Sequence[int],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Give permits back whose leases ended, by the serials of their slots. It is safe to repeat.

        Value: the number of permits that there were.
        """
        arguments: list[Word] = [not_after_us or 0, name, _serials(serials)]
        return make_call(
            self._keys, library.CAP_SETTLE, partition, "", now_us, arguments, _decode_count, len(serials)
        )

    def cap_renew(
        self,
        partition: int,
        name: str,
        serials: Sequence[int],
        lease_us: int,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[bool]]:
        """Let permits last longer, before their leases are extended by lease_us.

        Value: for each serial, True if its permit outlasts an extend within EXTEND_WITHIN_US. False if there is no such
        permit any more; the lease must not be extended then.
        """
        arguments: list[Word] = [not_after_us or 0, name, lease_us, _serials(serials)]
        return make_call(
            self._keys, library.CAP_RENEW, partition, "", now_us, arguments, _decode_flags, len(serials)
        )

    def cap_hold(
        self,
        partition: int,
        name: str,
        hold_us: int,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Let no slot of a cap be due for some time from now. Value: False if there is no such cap.

        Slots that are reserved stay so; their nodes must not use them.
        """
        arguments: list[Word] = [not_after_us or 0, name, hold_us]
        return make_call(self._keys, library.CAP_HOLD, partition, "", now_us, arguments, decode_flag)


def _duration(duration_us: int) -> bytes:
    return duration_us.to_bytes(_DURATION_BYTES)


def _serials(serials: Sequence[int]) -> bytes:
    return b"".join(serial.to_bytes(_NUMBER_BYTES) for serial in serials)


def _limit(limit: Limit) -> bytes:
    burst = packed.burst_parts(limit.burst)
    return _LIMIT.pack(1 + UNITS.index(limit.unit), _duration(limit.interval_us), *burst)


def _not_negative(number: int) -> int | None:
    return number if number >= 0 else None


def _states(raw: list[Any], at: int) -> list[CapState]:
    """Return the caps of a reply, whose rows begin at raw[at]."""
    states = []
    while at < len(raw):
        name, max_leased, held_until_us, leased, reserved, reason, due_in_us, limits = raw[at : at + _ROW]
        end = at + _ROW + limits * _LIMIT_REPLY
        rows = zip(*(raw[at + _ROW + column : end : _LIMIT_REPLY] for column in range(3)), strict=True)
        definition = CapDefinition(
            [Limit(UNITS[unit - 1], interval_us, as_short(burst)) for unit, interval_us, burst in rows],
            max_leased or None,
        )
        states.append(
            CapState(
                name.decode(),
                definition,
                _not_negative(held_until_us),
                leased,
                reserved,
                _not_negative(due_in_us),
                raw[1],
                BLOCKED_BY[reason],
            )
        )
        at = end
    return states


@decoder
def _decode_cap(raw: list[Any]) -> CapState | None:
    states = _states(raw, 4)
    return states[0] if states else None


@decoder
def _decode_page(raw: list[Any]) -> CapPage:
    return CapPage(_states(raw, 5), int(raw[4]))


@decoder
def _decode_take(raw: list[Any]) -> CapReply:
    status, now_us, reason, ask_in_us, horizon_us, has_permits, serial, grace_us = raw[4:_SLOTS_AT]
    slots = [CapSlot(due_us, serial + number) for number, due_us in enumerate(raw[_SLOTS_AT:])]
    return CapReply(
        CapTakeStatus(status),
        now_us,
        slots,
        _not_negative(ask_in_us),
        BLOCKED_BY[reason],
        horizon_us,
        bool(has_permits),
        grace_us,
    )


@decoder
def _decode_count(raw: list[Any]) -> int:
    return int(raw[4])


@decoder
def _decode_flags(raw: list[Any]) -> list[bool]:
    return [bool(flag) for flag in raw[4:]]
