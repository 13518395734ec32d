"""Remembers which queues with caps wait in which partition: by type, by set of caps, with the time of the longest due.

It learns of them from listings (shard/caps/listings.py) and from the replies of the dequeues that it plans. The store
decides which queue is due; an entry here may be early, but not late. Times are integer µs by this node's clock
(sharq_core.clock.elapsed_us).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

import msgspec

from sharq_core.clock import elapsed_us

Names = tuple[str, ...]
"""The names of a set of caps, sorted."""

QUEUES_AT_ONCE = 8
"""Most queues of a place that give jobs before those of another place that have been due for longer. A call that leases
several jobs in one partition costs the store much less than a call for each job.
"""

MOST_REORDERED_US = 1_000_000
"""The most by which a reply may overtake another. A reading that seems older by more came after a step."""


class ParkedPlace(msgspec.Struct, gc=False):
    """The queues of one type with one set of caps in one partition.

    Attributes:
        due_us: when the longest due of them is due, or when the place may be asked again after a failure.
        queues: the number of due ones, at least 1.
        cost: what the first job costs, as far as a dequeue has left it for its cost; else what jobs of the claim
            usually cost.
        told_us: the time of the reading by the clock of the partition's server; it only orders readings.
        has_only_dear: a dequeue has left the first job for its cost, and found no other one.
    """

    due_us: int
    queues: int
    cost: int
    told_us: int
    has_only_dear: bool = False

    @property
    def least_cost(self) -> int:
        """The least cost that a grant has to allow: a queue behind the first one may have a job for it."""
        return self.cost if self.queues == 1 or self.has_only_dear else 1


class ParkedReading(msgspec.Struct, frozen=True):
    """The state of the queues of a type and set in a partition, by the clock of its server.

    Attributes:
        due_us: when the first queue is due; None if none waits.
        queues: the number of due queues.
        told_us: the time of the reading.
        allowed_us: when the type itself allows a lease; None if that is not known, because it is stopped.
        cost: what the next job costs, if a dequeue left it because it costs too much, or is taken to cost after one;
            None if the reading does not tell.
        has_only_dear: as in ParkedPlace.
    """

    due_us: int | None
    queues: int
    told_us: int
    allowed_us: int | None = 0
    cost: int | None = None
    has_only_dear: bool = False


class CapClaim:
    """The queues of one type that wait for one set of caps, in all partitions of this node.

    Attributes:
        queue_type, names: the type and the names of the caps.
        places: partition → its queues; a claim has at least one place.
        usual_cost: what a job is taken to cost of which nothing is known: as much as the latest two, if these cost the
            same, else 1. A slot for a point or two is lost with less than one for many.
    """

    def __init__(self, queue_type: str, names: Names) -> None:
        self.queue_type = queue_type
        self.names = names
        self.places: dict[int, ParkedPlace] = {}
        self.usual_cost = 1
        self._latest_cost = 1
        self._first_us: int | None = None
        self._is_cheap = True

    @property
    def first_us(self) -> int:
        """The time at which the first of its queues is due. Cost: O(places) after that one has changed."""
        if self._first_us is None:
            self._first_us = min(place.due_us for place in self.places.values())
        return self._first_us

    def first_for_us(self, units: int) -> int | None:
        """Return the time at which a queue is due whose job may cost up to `units`; None if there is none."""
        if self._is_cheap:
            return self.first_us
        return min(
            (place.due_us for place in self.places.values() if place.least_cost <= units), default=None
        )

    def least_cost(self, now_us: int) -> int:
        """Return the least cost for which a due place may have a job."""
        if self._is_cheap:
            return 1
        due = (place.least_cost for place in self.places.values() if place.due_us <= now_us)
        return min(due, default=1)

    def queues(self, now_us: int) -> int:
        """Return the number of due queues."""
        return sum(place.queues for place in self.places.values() if place.due_us <= now_us)

    def costs(self, now_us: int, count: int) -> list[int]:
        """Return what each of the next `count` jobs costs, as far as is known: those of the longest due places first.

        Cost: O(places log places) if jobs do not cost 1.
        """
        if self._is_cheap:
            return [1] * count
        costs: list[int] = []
        due = [place for place in self.places.values() if place.due_us <= now_us]
        for place in sorted(due, key=_due):
            if len(costs) >= count:
                break
            others = place.cost if place.has_only_dear else self.usual_cost
            costs += [place.cost] + [others] * min(place.queues - 1, count - len(costs) - 1)
        return costs + [self.usual_cost] * (count - len(costs))

    def note_costs(self, costs: Iterable[int]) -> None:
        """Note what the latest leased jobs cost."""
        for cost in costs:
            self.usual_cost, self._latest_cost = cost if cost == self._latest_cost else 1, cost
        self._is_cheap = self._is_cheap and self.usual_cost == 1

    def spread(self, now_us: int, count: int, units: int) -> dict[int, int]:
        """Return partition → how many of `count` jobs to lease there: those of the longest due queues, approximately.

        Only the first due time of a place is known. Queues that take turns are due at even distances, so the others are
        taken to be due evenly between that time and now. Each time, the longest due place gives a job of each of its
        due queues, up to QUEUES_AT_ONCE. Grants for more points than usual go to the places that wait for such ones.

        Args:
            units: the points of cost that each grant allows. Places whose jobs cost more are left out.
        """
        shares = self._fitting(now_us, count, units)
        if shares:
            return shares
        row = [
            (place.due_us, 0, partition)
            for partition, place in self.places.items()
            if place.due_us <= now_us and place.least_cost <= units
        ]
        heapq.heapify(row)
        while row and count > 0:
            _, served, partition = row[0]
            place = self.places[partition]
            # A place stays first until each of its due queues has given a job: one call for several jobs is
            # cheaper.
            given = min(count, QUEUES_AT_ONCE, place.queues - served % place.queues)
            shares[partition] = served = served + given
            count -= given
            step_us = max((now_us - place.due_us) // place.queues, 1)
            heapq.heapreplace(row, (place.due_us + served * step_us, served, partition))
        return shares

    def fits(self, now_us: int, units: int) -> bool:
        """Return True if grants of this number of points of cost have jobs that take more than half of it."""
        return units < 2 * self.usual_cost or bool(self._fitting(now_us, 1, units))

    def _fitting(self, now_us: int, count: int, units: int) -> dict[int, int]:
        """Return as `spread` the places that wait for grants of more points than usual.

        One job of each, because it is not known what the others cost; more if all of them cost too much.
        """
        if units < 2 * self.usual_cost:
            return {}
        row = [
            (place.due_us, partition)
            for partition, place in self.places.items()
            if place.due_us <= now_us and place.cost <= units < 2 * place.cost
        ]
        shares: dict[int, int] = {}
        for _, partition in heapq.nsmallest(count, row):
            place = self.places[partition]
            if count > 0:
                shares[partition] = min(place.queues if place.has_only_dear else 1, count)
                count -= shares[partition]
        return shares

    def put(self, partition: int, place: ParkedPlace) -> None:
        """Set the queues of a partition."""
        self.places[partition] = place
        self._first_us = None
        self._is_cheap = self._is_cheap and place.cost == 1

    def drop(self, partition: int) -> None:
        """Forget the queues of a partition."""
        del self.places[partition]
        self._first_us = None


class ParkedIndex:
    """The claims of all types, and how far the changes of each type in each partition have been listed.

    Args:
        on_change: called with a claim after its first due time or its number of places may have changed. A claim
            without places is forgotten then.
        store_now_us: returns the present time of a partition's server, in µs, or a slightly earlier one; None if it is
            unknown.
    """

    def __init__(
        self, on_change: Callable[[CapClaim], None], store_now_us: Callable[[int], int | None]
    ) -> None:
        self._on_change = on_change
        self._store_now_us = store_now_us
        self._types: dict[str, dict[Names, CapClaim]] = {}
        self._heard: dict[tuple[int, str], int] = {}
        self._listed: dict[tuple[int, str], int] = {}
        self._news: dict[str, set[int]] = {}

    def has_news(self, queue_type: str) -> bool:
        """Return True if some changes of a type are not listed yet."""
        return queue_type in self._news

    def claims(self, queue_type: str) -> list[CapClaim]:
        """Return the claims of a type."""
        return list(self._types.get(queue_type, {}).values())

    def knows(self, queue_type: str) -> bool:
        """Return True if queues of the type wait for caps, or may do so."""
        return queue_type in self._types or queue_type in self._news

    def hear(self, partition: int, queue_type: str, change: int) -> bool:
        """Note the number of the latest change of a type in a partition; return True if it is not listed yet.

        A smaller number than that of the latest listing comes from a store that lost the listed changes.
        """
        place = partition, queue_type
        self._heard[place] = change
        listed = self._listed.get(place, 0)
        if change < listed:
            self._listed[place] = listed = 0
        is_news = change > listed
        if is_news:
            self._news.setdefault(queue_type, set()).add(partition)
        return is_news

    def news(self, queue_type: str) -> list[tuple[int, int]]:
        """Return (partition, number of the last listed change) of the partitions that must be listed."""
        return [
            (partition, self._listed.get((partition, queue_type), 0))
            for partition in self._news.get(queue_type, ())
        ]

    def note_listed(self, partition: int, queue_type: str, change: int, *, has_more: bool) -> None:
        """Note that the changes of a type in a partition are listed up to this one, and whether more follow it."""
        self._listed[partition, queue_type] = change
        if not has_more and change >= self._heard.get((partition, queue_type), 0):
            self._drop_news(partition, queue_type)

    def drop_news(self, queue_type: str) -> None:
        """Give up listing the changes of a type, which failed; the next dequeue tells of them again."""
        self._news.pop(queue_type, None)

    def settle(self, partition: int, queue_type: str, names: Names, reading: ParkedReading) -> None:
        """Record the state of a type and set in a partition. An outdated reading never makes a due time later."""
        claim = self._types.get(queue_type, {}).get(names)
        place = claim.places.get(partition) if claim is not None else None
        due_us, told_us = self._due_us(partition, reading), reading.told_us
        if reading.due_us is not None and due_us is None:
            # Nothing tells when the type goes on. What is parked is listed anew once a dequeue may lease again.
            self._listed.pop((partition, queue_type), None)
        if place is not None and 0 < place.told_us - told_us < MOST_REORDERED_US:
            if due_us is None or due_us >= place.due_us:
                return
            told_us = place.told_us
        if due_us is None:
            if claim is not None and place is not None:
                self._drop(claim, partition)
            return
        if claim is None:
            claim = self._types.setdefault(queue_type, {})[names] = CapClaim(queue_type, names)
        cost = reading.cost or (claim.usual_cost if place is None else place.cost)
        place = ParkedPlace(due_us, max(reading.queues, 1), cost, told_us, reading.has_only_dear)
        claim.put(partition, place)
        self._on_change(claim)

    def _due_us(self, partition: int, reading: ParkedReading) -> int | None:
        """Return when a lease may be had, by this node's clock; None if no queue waits, or if it is not known."""
        if reading.due_us is None or reading.allowed_us is None:
            return None
        store_us = max(reading.told_us, self._store_now_us(partition) or 0)
        return elapsed_us() + max(reading.due_us, reading.allowed_us) - store_us

    def put_off(self, claim: CapClaim, partition: int, until_us: int) -> None:
        """Do not ask a place before a time, because a call about it failed."""
        place = claim.places.get(partition)
        if place is not None:
            claim.put(partition, msgspec.structs.replace(place, due_us=until_us))
            self._on_change(claim)

    def delay(self, claim: CapClaim, partition: int, until_us: int) -> None:
        """Do not ask a place before a time if it seems due."""
        place = claim.places.get(partition)
        if place is not None and place.due_us < until_us:
            self.put_off(claim, partition, until_us)

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node does not serve any more."""
        for place in [place for place in self._heard if not covers(place[0])]:
            self._forget(*place)

    def lose(self, partition: int) -> None:
        """Forget a partition whose data was lost."""
        self.keep(lambda other: other != partition)

    def _forget(self, partition: int, queue_type: str) -> None:
        del self._heard[partition, queue_type]
        self._listed.pop((partition, queue_type), None)
        self._drop_news(partition, queue_type)
        for claim in self.claims(queue_type):
            if partition in claim.places:
                self._drop(claim, partition)

    def _drop(self, claim: CapClaim, partition: int) -> None:
        claim.drop(partition)
        if not claim.places:
            claims = self._types[claim.queue_type]
            del claims[claim.names]
            if not claims:
                del self._types[claim.queue_type]
        self._on_change(claim)

    def _drop_news(self, partition: int, queue_type: str) -> None:
        partitions = self._news.get(queue_type)
        if partitions is not None:
            partitions.discard(partition)
            if not partitions:
                del self._news[queue_type]


def _due(place: ParkedPlace) -> int:
    return place.due_us
