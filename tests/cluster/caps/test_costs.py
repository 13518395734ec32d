"""Slots of caps with limits of cost: a job takes one for about what it costs, also beside jobs that cost more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shard.caps.cap_set import CapSet
from shard.caps.grants import CapGrant
from sharq_core.limits import LimitUnit
from tests.cluster.caps.test_named_caps import KIND, put_cap, work
from tests.support.nodes.parts import Parts, enqueued, job


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The points of cost that the used slots allowed."""
    points, put_back = list[int](), CapSet.put_back

    def noted(cap_set: CapSet, grants: Sequence[CapGrant], used: int) -> None:
        points.extend(grant.terms.units for grant in grants[:used])
        put_back(cap_set, grants, used)

    monkeypatch.setattr(CapSet, "put_back", noted)
    return points


@pytest.mark.parametrize(
    ("costs", "queues", "kind"),
    [
        ([1] * 9 + [10], 40, KIND),
        ([1] * 9 + [10], 40, f"{KIND}~one"),
        ([1, 10], 40, KIND),
        ([1] * 9 + [10], 1, KIND),
        ([7], 10, KIND),
        ([3, 5, 17, 120], 10, KIND),
    ],
)
async def test_jobs_use_slots_for_about_what_they_cost(
    parts: Parts, paid: list[int], costs: list[int], queues: int, kind: str
) -> None:
    """Those of one partition, too, where a gathered type has all its queues. A busy machine loses none: the grace is
    that of a slow limit, whose burst is enough for all of them.
    """
    await put_cap(parts.node, "acct", 5_000_000, 100_000, unit=LimitUnit.COST)
    jobs = [
        job(kind, f"q{n % queues}", f"j{n}", caps=("acct",), cost=costs[n * 7 // queues % len(costs)])
        for n in range(300)
    ]
    await enqueued(parts, *jobs)
    leased = await work(parts, 60, kind)
    assert len(paid) >= 60
    assert sum(paid) <= 2 * sum(one.cost for one in leased) + 20
