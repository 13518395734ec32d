"""A window that is put while a shard stands still: the answer says how many partitions have it; a repeat mends it."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Iterator

from router.shards.walks.windows import home_of
from sharq_core.partitions import Ring
from tests.support.http.contract import Api, Document, Reply
from tests.support.processes.servers import SharqCluster, SharqProcess
from tests.support.waits import until_answer

PARTITIONS = 64
ALWAYS: Document = {"tz": "UTC", "open": [{"days": "daily", "from": "00:00", "to": "24:00"}]}
CONFIRMED = re.compile(r"(\d+) of (\d+) partitions have confirmed it; repeat the call until all have: ")


def names_at_home_with(node_id: str) -> Iterator[str]:
    """Yield names of windows whose home partition a shard owns."""
    owned = Ring.build(1, frozenset({"shard-1", "shard-2"}), PARTITIONS).owned_by(node_id)
    return (name for name in map("w{}".format, itertools.count()) if home_of(name, PARTITIONS) in owned)


async def put_with_frozen(frozen: SharqProcess, api: Api, name: str) -> Reply:
    frozen.signal(signal.SIGSTOP)
    try:
        return await api.call("PUT", f"/window/{name}/", ALWAYS)
    finally:
        frozen.signal(signal.SIGCONT)


async def test_a_put_that_meets_a_frozen_shard_says_how_many_have_it_and_its_repeat_heals(
    two_shards: SharqCluster, api_of_two: Api
) -> None:
    # A router that finds the shard silent before it sends lets the other one stand in, and the put succeeds.
    for name in itertools.islice(names_at_home_with("shard-2"), 30):
        reply = await put_with_frozen(two_shards.shards[0], api_of_two, name)
        if reply.status != 200:
            break
        await until_answer(lambda: api_of_two.call("GET", "/deepstatus/"), lambda again: again.status == 200)
    assert (reply.status, reply.json["code"]) == (504, "outcome_unknown")
    confirmed = CONFIRMED.match(reply.json["message"])
    assert confirmed is not None, reply.json
    assert 0 < int(confirmed[1]) < int(confirmed[2]) == PARTITIONS
    await until_answer(
        lambda: api_of_two.call("PUT", f"/window/{name}/", ALWAYS), lambda again: again.status == 200
    )
    for number in range(30):
        body = {"payload": 1, "interval": 0, "window": name}
        assert (await api_of_two.post(f"/enqueue/sms/q{number}/", body)).status == 201
    assert (await api_of_two.get(f"/window/{name}/")).json["uses"] == 30
