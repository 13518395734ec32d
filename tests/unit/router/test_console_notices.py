"""The problems of routers and shards in the console's stream: who sees them, and where they come from."""

from __future__ import annotations

import json
from typing import Any

from router.api.cluster_shapes import ClusterInfo, MemberInfo, StoreView
from router.console.history import History, ShardLoads
from router.console.summary import Summary

SECRET = "SHARQ_AUTH_TOKENS_FILE: everyone on this machine can read the file that holds it (mode 0644)"
EXPIRED = (
    "the certificate of [cluster] link_tls_cert has expired (2026-11-28), so every peer refuses it: renew it"
)


def summary() -> Summary:
    store = StoreView(mode="single", is_reachable=True, notices=["no replica"], reason="it is full")
    member = MemberInfo(
        node="s1",
        address="s1:8090",
        is_draining=False,
        partitions=64,
        store=store,
        notices=[EXPIRED],
    )
    gone = MemberInfo(
        node="s2", address="s2:8090", is_draining=False, partitions=0, store=None, reason="it is silent"
    )
    cluster = ClusterInfo(version=1, partitions=64, members=[member, gone], notices=[SECRET])
    loads, history = ShardLoads({}, []), History()
    history.note(1, loads)
    return Summary(0, 2000, cluster, loads, None, history)


def test_the_problems_of_routers_and_shards_reach_the_console() -> None:
    snapshot: dict[str, Any] = json.loads(summary().whole())
    told = [(notice["node"], notice["code"], notice["text"]) for notice in snapshot["notices"]]
    assert told == [
        ("", "router", SECRET),
        ("s1", "store", "it is full"),
        ("s1", "store", "no replica"),
        ("s1", "node", EXPIRED),
        ("s2", "shard", "it is silent"),
    ]


def test_a_token_for_some_types_does_not_see_them() -> None:
    part = summary().part("sms", lambda queue_type: queue_type == "sms")
    assert json.loads(part)["notices"] == []
    for text in (SECRET, EXPIRED, "no replica", "it is full"):
        assert text not in part.decode()
