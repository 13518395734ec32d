"""Checks the servers' own settings for anything by which jobs may be lost.

Each problem is logged once when it appears and once when it clears, and stays available as a notice. A problem that
comes and goes by itself during a failover is reported once it was seen twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from sharq_core.errors import ConfigError, OutcomeUnknown, SharqError, Unavailable
from sharq_core.store.clock_steps import ClockSteps
from sharq_core.store.failures import NotPermitted
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.durability import Durability

log = logging.getLogger(__name__)

Facts: TypeAlias = Mapping[str, str]
"""The fields of INFO, all of its sections."""

CHECKS = (
    "data_lost",
    "data_rolled_back",
    "data_cut",
    "version",
    "info",
    "eviction",
    "persistence",
    "memory",
    "replicas",
    "min_replicas",
    "clock",
)
"""The names of all checks.

The part of shard/data_identity/guard.py that remembers the data, or the start of the embedded store, finds the problems
that begin with `data` and reports them here.
"""
LOOK_EVERY_S = 10.0
_LEAST_PAUSE_S = 0.5
_LOOK_AGAIN_S = 3.0
"""The time in seconds until the next look after something fleeting was seen for the first time."""

_FLEETING = frozenset({"replicas"})
"""Checks whose problems end with a failover: a new primary has no replicas for some seconds."""

_OF_PRIMARIES = frozenset({"replicas", "min_replicas"})
"""Checks that say nothing about a server that is a replica now, and soon none of our primaries."""

_MOST_LAG_S = 10
"""The time in seconds without news after which a replica counts as gone; the default of min-replicas-max-lag."""

_PASSING = frozenset({"clock", "memory"})
"""Checks that say nothing about the settings: they keep no node from starting."""

_FILLS_UP, _HAS_ROOM = 0.85, 0.80
"""The shares of its memory limit at which a server begins to be full, and has room again."""

_SHOWN_SERVERS = 3

_UNFIT = frozenset({"version"})
"""Checks whose problems keep every node from starting, strict or not: nothing would work."""


class Inspector:
    """The checks of one store.

    Args:
        is_strict: refuse to start if there is any problem.

    Attributes:
        facts: the last INFO of each server.
        clock_steps: the steps of the servers' clocks.
        cut_bytes: bytes lost at the end of the embedded store's files before its starts, as far as is known.
    """

    def __init__(self, durability: Durability, *, is_strict: bool) -> None:
        self._durability = durability
        self._is_strict = is_strict
        self._news = asyncio.Event()
        self._off: dict[str, dict[str, str]] = {}
        self._suspected: set[tuple[str, str]] = set()
        self._has_looked = False
        self._told: dict[str, str] = {}
        self.cut_bytes = 0
        self.facts: dict[str, dict[str, str]] = {}
        self.clock_steps = ClockSteps(self.look_soon)

    @property
    def notices(self) -> tuple[str, ...]:
        """The problems, one sentence per check, with the servers concerned."""
        sentences = tuple(_sentence(self._off[check]) for check in CHECKS if check in self._off)
        return (*(self._told[check] for check in CHECKS if check in self._told), *sentences)

    def counts(self) -> dict[str, int]:
        """Return the number of primaries with a problem, by check; all checks."""
        return {check: len(self._off.get(check, ())) or int(check in self._told) for check in CHECKS}

    def tell(self, check: str, text: str | None) -> None:
        """Set the notice of a problem that another module has found; None clears it. That module also logs it."""
        if text is None:
            self._told.pop(check, None)
        else:
            self._told[check] = text

    async def look(self, nodes: Sequence[StoreNode]) -> None:
        """Check these servers; the known problems of a server that does not answer stay."""
        problems: dict[str, dict[str, str]] = {}
        for node, off in zip(nodes, await asyncio.gather(*map(self._look_at, nodes)), strict=True):
            stepped = self.clock_steps.fault(node.name)
            if stepped is not None:
                off["clock"] = stepped
            for check, text in self._settled(node.name, off).items():
                problems.setdefault(check, {})[node.name] = text
        names = {node.name for node in nodes}
        self._log_changes(problems, names)
        self._off = problems
        self._suspected = {(check, name) for check, name in self._suspected if name in names}
        self._has_looked = True
        self.facts = {name: facts for name, facts in self.facts.items() if name in names}

    def refuse_unfit(self) -> None:
        """Raise ConfigError if the problems keep every node from starting.

        Raises:
            ConfigError: the message names all of these problems.
        """
        grave = CHECKS if self._is_strict else _UNFIT
        barring = [
            check for check in CHECKS if check in self._off and check in grave and check not in _PASSING
        ]
        if barring:
            why = "; ".join(_sentence(self._off[check]) for check in barring)
            raise ConfigError(f"[redis]{' strict_store' * self._is_strict}: the store is not fit: {why}")

    def look_soon(self) -> None:
        """Check again soon: there may be a new primary."""
        self._news.set()

    async def run(self, nodes: Callable[[], Sequence[StoreNode]]) -> None:
        """Check at news and every ten seconds, sooner after a first sight of something fleeting, until cancelled."""
        while True:
            await asyncio.sleep(_LEAST_PAUSE_S)
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S if self._suspected else LOOK_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self.look(nodes())
            except Exception:
                log.exception("store_inspection_failed")

    async def _look_at(self, node: StoreNode) -> dict[str, str]:
        """Return the problems of a server, by check; the known ones as far as it does not answer."""
        answer = (await node.execute([[b"INFO"]]))[0]
        previous = {check: text for check, text in self._known(node.name).items() if check not in _PASSING}
        if isinstance(answer, (OutcomeUnknown, Unavailable)) and not isinstance(answer, NotPermitted):
            return previous
        if isinstance(answer, SharqError):
            return {**previous, "info": f"INFO is refused, so nothing can be checked: {answer.message}"}
        facts = self.facts[node.name] = parse_info(answer)
        off = faults(facts, self._durability)
        filling = _memory_fault(facts, was_full="memory" in self._known(node.name))
        if filling is not None:
            off["memory"] = filling
        if facts.get("role") != "slave":
            return off
        kept = {check: previous[check] for check in _OF_PRIMARIES & previous.keys()}
        return {check: text for check, text in off.items() if check not in _OF_PRIMARIES} | kept

    def _settled(self, server: str, off: dict[str, str]) -> dict[str, str]:
        """Return the problems to report of a server with these problems.

        A fleeting problem changes once it was seen twice, and at the very first look at once.
        """
        previous, reported = self._known(server), dict(off)
        for check in _FLEETING:
            has_changed = (check in off) != (check in previous)
            if has_changed and self._has_looked and (check, server) not in self._suspected:
                self._suspected.add((check, server))
                # Seen once: report what was reported before.
                reported.pop(check, None)
                reported.update({check: previous[check]} if check in previous else {})
            else:
                self._suspected.discard((check, server))
        return reported

    def _known(self, server: str) -> dict[str, str]:
        return {check: servers[server] for check, servers in self._off.items() if server in servers}

    def _log_changes(self, problems: Mapping[str, Mapping[str, str]], primaries: Collection[str]) -> None:
        for check in CHECKS:
            old, new = self._off.get(check, {}), problems.get(check, {})
            for server in sorted(new.keys() - old.keys()):
                log.warning("store_notice check=%s server=%s text=%r", check, server, new[server])
            for server in sorted(old.keys() - new.keys()):
                why = "mended" if server in primaries else "no_primary"
                log.info("store_notice_gone check=%s server=%s why=%s", check, server, why)


def faults(facts: Facts, durability: Durability) -> dict[str, str]:
    """Return the problems of a server, by check; each is a sentence without its full stop."""
    problems = {
        "version": _version_fault(facts, durability),
        "eviction": _eviction_fault(facts),
        "persistence": _persistence_fault(facts, durability),
        "replicas": _replicas_fault(facts, durability),
        "min_replicas": _min_replicas_fault(facts, durability),
    }
    return {check: text for check, text in problems.items() if text is not None}


def parse_info(answer: bytes) -> dict[str, str]:
    """Return the fields of an INFO."""
    lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _version_fault(facts: Facts, durability: Durability) -> str | None:
    is_valkey = "valkey_version" in facts
    text = facts.get("valkey_version" if is_valkey else "redis_version", "of an unknown version")
    least = (7, 2) if is_valkey or durability is Durability.SYNCED else (7, 0)
    numbers = [int(part) for part in text.split(".")[:2] if part.isdecimal()]
    if tuple(numbers) >= least:
        return None
    name = "Valkey" if is_valkey else "Redis"
    why = "durability synced (WAITAOF)" if least == (7, 2) and not is_valkey else "the function library"
    return f"{name} {text} is too old: {why} needs {name} {least[0]}.{least[1]}"


def _eviction_fault(facts: Facts) -> str | None:
    policy = facts.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return None
    return f"maxmemory-policy is {policy}, so jobs are evicted when its memory is full; set noeviction"


def _persistence_fault(facts: Facts, durability: Durability) -> str | None:
    if facts.get("aof_enabled", "0") == "0":
        loss = "a restart loses everything after the last snapshot"
        consequence = "every call is answered 504" if durability is Durability.SYNCED else loss
        return f"the append-only file is off, so {consequence}; set appendonly yes"
    if facts.get("aof_last_write_status", "ok") != "ok":
        return "the append-only file cannot be written (disk full?), so calls are refused"
    return None


def _memory_fault(facts: Facts, *, was_full: bool) -> str | None:
    used, limit = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    if not limit or used < limit * (_HAS_ROOM if was_full else _FILLS_UP):
        return None
    return (
        f"{used * 100 // limit} % of its memory limit of {limit} bytes is used: at the limit enqueue is answered 507, "
        "while dequeue and finish still work"
    )


def _replicas_fault(facts: Facts, durability: Durability) -> str | None:
    if durability is Durability.FAST or any(map(_follows, _replica_rows(facts))):
        return None
    return f"no replica follows it, so with durability {durability} enqueues and dequeues are refused (503)"


def _replica_rows(facts: Facts) -> list[dict[str, str]]:
    """Return the fields of each replica in INFO."""
    rows = (value for name, value in facts.items() if name.startswith("slave") and name[5:].isdecimal())
    return [dict(field.split("=", 1) for field in row.split(",") if "=" in field) for row in rows]


def _follows(replica: Mapping[str, str]) -> bool:
    """Return True if a replica is in step and was heard of lately: one that hangs stays connected for a minute."""
    return replica.get("state") == "online" and int(replica.get("lag", "0")) <= _MOST_LAG_S


def _min_replicas_fault(facts: Facts, durability: Durability) -> str | None:
    """Return the problem, if any. INFO counts the good replicas only if a minimum number of them is configured."""
    if durability is Durability.FAST or "min_slaves_good_slaves" in facts:
        return None
    return "an isolated primary keeps accepting writes that it cannot replicate; set min-replicas-to-write 1"


def _sentence(servers: Mapping[str, str]) -> str:
    """Return one sentence for all servers: if their texts differ, the first is used, as all are about one setting."""
    names = sorted(servers)
    others = f" and {len(names) - _SHOWN_SERVERS} more" if len(names) > _SHOWN_SERVERS else ""
    return f"{servers[names[0]]} ({', '.join(names[:_SHOWN_SERVERS])}{others})"
