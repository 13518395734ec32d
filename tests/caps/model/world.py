"""The world of the model: servers and nodes with clocks of their own, calls that are late or lost, and a judge.

Real time is integer µs. Nobody in the model sees it but the judge. Clocks run evenly; a server's clock is a partition's
time (sharq_core/scheduler/lua/clock.lua): it never goes back, and a step back of the machine's clock makes it stand
still and counts as a new shift.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from tests.caps.model.ledger import Ledger, Limit, Reply, Slot
from tests.caps.model.node import Contact, Deadline, Grant, deadline, grants, is_valid, shared


class Clock(Struct):
    """A clock that runs evenly from an offset, and may stand still."""

    offset_us: int = 0
    shifts: int = 0

    def told_us(self, real_us: int) -> int:
        """Return the time that the clock says."""
        return real_us + self.offset_us

    def lose(self, lost_us: int) -> None:
        """Fall behind, as after a step back that the first call has noticed."""
        self.offset_us -= lost_us
        self.shifts += 1


class Take(Struct):
    """A call of cap_take on its way; reply is None until the ledger has carried it out.

    Attributes:
        reign: how many failovers of the ledger the node had heard of.
    """

    node: str
    cap: str
    want: int
    sent_us: int
    reply: Reply | None = None
    weight: float = 1.0
    reign: int = 0


class Dequeue(Struct):
    """A dequeue on its way: the caps of its queue, and until when the server may run it.

    Attributes:
        reigns: cap → how many failovers of its ledger the node had heard of.
    """

    node: str
    caps: tuple[str, ...]
    until: Deadline
    reigns: dict[str, int]


class Lease(Struct, frozen=True):
    """A lease that the queue's server gave: when, and of which caps' slots."""

    real_us: int
    caps: tuple[str, ...]


class Era(Struct, frozen=True):
    """A limit, and the real time from which slots were reserved under it."""

    from_us: int
    limit: Limit

    def last_use_us(self, next_from_us: int) -> int:
        """Return the latest time at which a slot of it may be used, if the next limit came at next_from_us."""
        return next_from_us + self.limit.horizon_us + self.limit.grace_us


class Step(Struct, frozen=True):
    """A step of a server's clock that nobody noticed: when, and how far."""

    real_us: int
    by_us: int


class Node(Struct):
    """A shard: its clock, its unused slots by cap, and its latest contact with the queue's server.

    Attributes:
        heard: cap → how many failovers of its ledger it has heard of.
    """

    clock: Clock
    heard: dict[str, int]
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    contact: Contact | None = None


class World:
    """The whole model.

    Args:
        limits: cap → its limit.
        nodes: the names of the nodes.
        serves_on: the servers of ledgers have their caps' queues, too, and serve on after they are replaced. Nothing
            that they lease then is handed out (docs/decisions/replicated-failover.md).
    """

    def __init__(self, limits: dict[str, Limit], nodes: Iterable[str], *, serves_on: bool = False) -> None:
        self.serves_on = serves_on
        self.reigns = dict.fromkeys(limits, 0)
        self._formers: dict[tuple[str, int], tuple[Ledger, Clock]] = {}
        self.real_us = 10_000_000
        self.ledgers = {cap: Ledger(limit, latest_us=0) for cap, limit in limits.items()}
        self.ledger_clocks = {cap: Clock(1_000_000 * number) for number, cap in enumerate(limits)}
        self.server = Clock(7_000_000)
        self.nodes = {name: self._new_node(Clock(-1_000_000 * number)) for number, name in enumerate(nodes)}
        self.takes: list[Take] = []
        self.dequeues: list[Dequeue] = []
        self.leases: list[Lease] = []
        self.eras = {cap: [Era(0, limit)] for cap, limit in limits.items()}
        self.gains: dict[str, list[Step]] = {cap: [] for cap in limits}
        self.slips: list[Step] = []

    def node_us(self, name: str) -> int:
        """Return the time by a node's clock."""
        return self.nodes[name].clock.told_us(self.real_us)

    def ledger_us(self, cap: str) -> int:
        """Return the time by the clock of a cap's ledger."""
        return self.ledger_clocks[cap].told_us(self.real_us)

    def ask(self, name: str, cap: str, want: int, weight: float = 1.0) -> Take:
        """Send a cap_take."""
        reign = self.nodes[name].heard[cap]
        take = Take(name, cap, want, self.node_us(name), weight=weight, reign=reign)
        self.takes.append(take)
        return take

    def run_take(self, take: Take) -> None:
        """Let the ledger carry the call out that the node takes for the present one."""
        present = self.ledgers[take.cap], self.ledger_clocks[take.cap]
        ledger, clock = self._formers.get((take.cap, take.reign), present)
        take.reply = ledger.take(clock.told_us(self.real_us), take.node, take.want, take.weight)

    def deliver(self, take: Take) -> None:
        """Let the node have the reply."""
        assert take.reply is not None
        self.takes.remove(take)
        node = self.nodes[take.node]
        if not is_valid(take.reign, node.heard[take.cap]):
            return
        node.grants.setdefault(take.cap, []).extend(grants(take.reply, take.sent_us, self.node_us(take.node)))

    def meet(self, name: str, sent_before_us: int, told_before_us: int) -> None:
        """Let a node have a reply of the queue's server: sent and answered that long ago, by real time."""
        now_us = self.node_us(name)
        told_us = self.server.told_us(self.real_us - told_before_us)
        self.nodes[name].contact = Contact(now_us - sent_before_us, now_us, told_us, self.server.shifts)

    def send(self, name: str, caps: Sequence[str]) -> Dequeue | None:
        """Send a dequeue with a slot of each cap, if the node has slots that may be used together now."""
        node = self.nodes[name]
        now_us = self.node_us(name)
        if node.contact is None:
            return None
        chosen: list[Grant] = []
        for cap in caps:
            usable = (one for one in node.grants.get(cap, ()) if one.from_us <= now_us <= one.until_us)
            grant = next(usable, None)
            if grant is None:
                return None
            chosen.append(grant)
        window = shared(chosen)
        assert window is not None, "all of them may be used now"
        for cap, grant in zip(caps, chosen, strict=True):
            node.grants[cap].remove(grant)
        dequeue = Dequeue(name, tuple(caps), deadline(window[1], node.contact), dict(node.heard))
        self.dequeues.append(dequeue)
        return dequeue

    def wait_for_slots(self, name: str, caps: Sequence[str], *, is_last_moment: bool) -> bool:
        """Let time pass until the node may use a slot of each cap, at the first or the last moment of it.

        Returns:
            False if it has none that may be used together; no time has passed then.
        """
        held = self.nodes[name].grants
        now_us = self.node_us(name)
        for several in itertools.product(*(held.get(cap, ()) for cap in caps)):
            window = shared(several)
            if window is not None and window[1] >= now_us:
                self.real_us += max(0, window[is_last_moment] - now_us)
                return True
        return False

    def run_dequeue(self, dequeue: Dequeue) -> bool:
        """Let the queue's server carry the dequeue out, if it may still. Return True if it gave a lease."""
        self.dequeues.remove(dequeue)
        until = dequeue.until
        is_late = self.server.told_us(self.real_us) > until.not_after_us
        if is_late or self.server.shifts != until.shifts or self._is_void(dequeue):
            return False
        self.leases.append(Lease(self.real_us, dequeue.caps))
        return True

    def give_back(self, name: str, cap: str) -> tuple[Slot, ...]:
        """Take the slots that are not due yet from a node, to be sent back to the ledger."""
        now_us = self.node_us(name)
        held = self.nodes[name].grants.get(cap, [])
        ahead = [grant for grant in held if grant.from_us > now_us]
        self.nodes[name].grants[cap] = [grant for grant in held if grant.from_us <= now_us]
        return tuple(grant.slot for grant in ahead)

    def kill(self, name: str) -> None:
        """Let a node forget everything, and let its calls be lost unless a server has them already."""
        self.nodes[name] = self._new_node(self.nodes[name].clock)
        self.takes = [take for take in self.takes if take.node != name]

    def copy_ledger(self, cap: str) -> Ledger:
        """Return the ledger as a replica has it now."""
        return copy.deepcopy(self.ledgers[cap])

    def fail_over(self, cap: str, replica: Ledger, lost_us: int) -> None:
        """Go on with a replica that lacks what came after it was copied.

        The partition's time goes on from what the replica knows or later, but never ahead of what it would have been
        (docs/decisions/store-clock.md).

        Args:
            lost_us: how far the partition's time falls behind, if the replica does not know a later one.
        """
        clock = self.ledger_clocks[cap]
        former, limit = self.ledgers[cap], self.eras[cap][-1].limit
        if self.serves_on:
            self._formers[cap, self.reigns[cap]] = former, copy.copy(clock)
            self.reigns[cap] += 1
        clock.lose(max(0, min(lost_us, self.ledger_us(cap) - replica.latest_us)))
        self.ledgers[cap] = replica
        # Changes of the limit are kept: they are acknowledged only once a replica has them.
        replica.change(replica.latest_us, limit)
        replica.reach_us = max(replica.reach_us, former.reach_us)
        replica.fail_over(self.ledger_us(cap))

    def hear_of_failover(self, name: str, cap: str) -> None:
        """Let a node know which server has the ledger of a cap now."""
        node, reign = self.nodes[name], self.reigns[cap]
        if not is_valid(node.heard[cap], reign):
            node.grants.pop(cap, None)
        node.heard[cap] = reign

    def _is_void(self, dequeue: Dequeue) -> bool:
        """Return True if a node hands out nothing of a dequeue.

        It ran at a server that was replaced, or at the successor, to which the store has sent it on.
        """
        heard = self.nodes[dequeue.node].heard
        return any(
            heard[cap] != self.reigns[cap] or not is_valid(dequeue.reigns[cap], heard[cap])
            for cap in dequeue.caps
        )

    def _new_node(self, clock: Clock) -> Node:
        """Return a node that has just started: it asks who has the ledgers."""
        return Node(clock, dict(self.reigns))

    def change(self, cap: str, limit: Limit) -> None:
        """Change the limit of a cap.

        Slots that were reserved before may be used until a horizon and the grace later.
        """
        self.ledgers[cap].change(self.ledger_us(cap), limit)
        self.eras[cap].append(Era(self.real_us, limit))

    def gain(self, cap: str, gained_us: int) -> None:
        """Let the clock of a cap's ledger step ahead by so little that nobody notices."""
        self.ledger_clocks[cap].offset_us += gained_us
        self.gains[cap].append(Step(self.real_us, gained_us))

    def slip(self, lost_us: int) -> None:
        """Let the clock of the queue's server step back by so little that no call notices."""
        self.server.offset_us -= lost_us
        self.slips.append(Step(self.real_us, lost_us))

    def judge(self) -> None:
        """Raise AssertionError if a cap gave more leases in any time than its bound allows.

        The bound is burst + (t + g) / interval. While slots of an old limit may still be used, the looser one counts.
        A step that nobody noticed adds its length to t: slots of that time come too early, or dequeues run too late.
        """
        for cap, eras in self.eras.items():
            times = [lease.real_us for lease in self.leases if cap in lease.caps]
            for last, end_us in enumerate(times):
                for first, start_us in enumerate(times[: last + 1]):
                    limits = _in_force(eras, start_us, end_us)
                    time_us = end_us - start_us + self._unnoticed_us(cap, start_us, end_us)
                    most = max(one.burst + (time_us + one.grace_us) / one.interval_us for one in limits)
                    count = last - first + 1
                    assert count <= most + 1e-6, (
                        f"{cap}: {count} leases in {end_us - start_us} µs, at most {most:.3f}: "
                        f"{times[first : last + 1]}"
                    )

    def _unnoticed_us(self, cap: str, start_us: int, end_us: int) -> int:
        """Return the length of the steps that may show between two times.

        One of the ledger's clock shows until the slots are used that were reserved before it, and one of the queue's
        server as long as a node has not heard of that server since.
        """
        reach_us = max(era.limit.horizon_us + era.limit.grace_us for era in self.eras[cap])
        shown = [step for step in self.gains[cap] if start_us - reach_us <= step.real_us <= end_us]
        shown += [step for step in self.slips if step.real_us <= end_us]
        return sum(step.by_us for step in shown)


def _in_force(eras: Sequence[Era], start_us: int, end_us: int) -> list[Limit]:
    """Return the limits under which slots were reserved that may be used between two times."""
    followers = [era.from_us for era in eras[1:]] + [end_us + 1]
    return [
        era.limit
        for era, next_us in zip(eras, followers, strict=True)
        if era.from_us <= end_us and era.last_use_us(next_us) >= start_us
    ]
