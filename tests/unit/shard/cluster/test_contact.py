"""Tests when a shard counts a server of its store as lost and as back, by a clock that the test moves."""

from __future__ import annotations

from typing import cast

from shard.cluster.contact import (
    AWAY_AFTER_S,
    CALM_S,
    FLAPPING_S,
    MOST_CALM_S,
    PROBE_EVERY_S,
    RELAPSE_S,
    TICK_S,
    Server,
)
from sharq_core.errors import Unavailable
from sharq_core.store.node import StoreNode


class Node:
    """The attributes of a store's server that the contact reads."""

    name = "store:6379"

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.is_reachable = True
        self.misplaced_at = -1.0
        self.keeping: Keeping | None = None


class Keeping:
    """The promised calls of a server, as the contact reads them."""

    refusal: Unavailable | None = None


class Scene:
    """A server that answers each probe at once, is silent, or refuses connections.

    Attributes:
        now: the loop's time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.node = Node()
        self.server = Server(cast(StoreNode, self.node), 0.0)

    async def go_on(
        self, seconds: float, *, answers: bool = True, refuses: bool = False
    ) -> list[tuple[float, bool]]:
        """Look every tick; returns when it was lost (True) or back (False), from the begin."""
        began, changes = self.now, []
        while self.now < began + seconds:
            self.now += TICK_S
            self.node.is_reachable = not refuses
            if self.server.judge(self.now):
                changes.append((round(self.now - began, 2), self.server.is_away))
            if self.server.wants_probe(self.now) and answers and not refuses:
                self.node.heard_at = self.now
        return changes


async def test_an_idle_server_that_answers_probes_is_never_lost() -> None:
    assert await Scene().go_on(60.0) == []


async def test_a_silent_server_is_lost_after_half_a_second_and_back_when_it_was_well() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    ((lost_s, is_away),) = await scene.go_on(3.0, answers=False)
    assert is_away
    assert AWAY_AFTER_S <= lost_s <= AWAY_AFTER_S + PROBE_EVERY_S + 2 * TICK_S
    ((back_s, is_away),) = await scene.go_on(5.0)
    assert not is_away
    assert CALM_S <= back_s <= CALM_S + 0.5


async def test_a_server_that_refuses_connections_is_lost_after_half_a_second() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    ((lost_s, _),) = await scene.go_on(1.0, refuses=True)
    assert lost_s <= AWAY_AFTER_S + PROBE_EVERY_S + 2 * TICK_S


async def test_one_short_interruption_loses_nothing_and_a_second_one_does() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    assert await scene.go_on(0.2, refuses=True) == []
    assert await scene.go_on(0.3) == []
    assert len(await scene.go_on(0.2, refuses=True)) == 1


async def test_short_interruptions_far_apart_lose_nothing() -> None:
    scene = Scene()
    for _ in range(3):
        await scene.go_on(FLAPPING_S + 1)
        assert await scene.go_on(0.2, refuses=True) == []


async def test_it_is_not_back_between_the_interruptions_of_a_flapping_connection() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    changes = []
    for _ in range(20):
        changes += await scene.go_on(0.7, refuses=True)
        changes += await scene.go_on(0.7)
    assert [is_away for _, is_away in changes] == [True]


async def test_each_relapse_doubles_the_time_that_it_must_be_well_up_to_a_bound() -> None:
    scene, waited = Scene(), []
    for _ in range(6):
        await scene.go_on(1.0)
        assert await scene.go_on(1.0, refuses=True)
        ((back_s, _),) = await scene.go_on(MOST_CALM_S + 1)
        waited.append(round(back_s))
    assert waited == [2, 4, 8, 16, 30, 30]
    await scene.go_on(RELAPSE_S)
    await scene.go_on(1.0, refuses=True)
    assert scene.server.calm_s == CALM_S


async def test_a_process_that_stood_still_does_not_blame_the_store() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    scene.now += PROBE_EVERY_S
    assert scene.server.wants_probe(scene.now)
    scene.now += 5.0
    scene.server.excuse(5.0)
    assert not scene.server.judge(scene.now + TICK_S)


async def test_a_server_that_keeps_no_promise_while_the_primary_is_unknown_is_lost() -> None:
    scene = Scene()
    scene.node.keeping = Keeping()
    scene.server.note_layout(0.0)
    assert await scene.go_on(3.0) == []
    scene.node.keeping.refusal = Unavailable("no replica confirms")
    scene.server.note_layout(scene.now)
    ((lost_s, is_away),) = await scene.go_on(3.0)
    assert is_away
    assert AWAY_AFTER_S <= lost_s <= AWAY_AFTER_S + 2 * TICK_S
    scene.server.note_layout(None)
    ((_, is_away),) = await scene.go_on(5.0)
    assert not is_away


async def test_a_server_that_became_a_replica_while_the_primary_is_unknown_is_lost() -> None:
    scene = Scene()
    await scene.go_on(1.0)
    scene.server.note_layout(scene.now)
    assert await scene.go_on(1.0) == []
    scene.node.misplaced_at = scene.now
    scene.server.note_layout(scene.now - 0.5)
    assert [is_away for _, is_away in await scene.go_on(1.0)] == [True]
