"""Describes the workers for /cluster/, as members of one machine."""

from __future__ import annotations

import asyncio

from msgspec import UNSET

from router.api.cluster_shapes import ClusterInfo, MemberInfo, StoreView
from shard.node import ShardNode
from sharq_core.config import Config, StoreMode
from sharq_core.errors import SharqError
from sharq_core.link.messages import DescribeStore, ShardPort
from sharq_core.link.store_state import StoreState
from sharq_server.workers.directory import WorkerDirectory
from sharq_server.workers.orders import Members


def worker_name(config: Config, number: int) -> str:
    """Return the node id of a worker."""
    return f"{config.cluster.node_id or 'local'}-{number}"


async def describe_workers(
    config: Config, node: ShardNode, directory: WorkerDirectory, members: Members
) -> ClusterInfo:
    """Return the workers that run now, each with its share of the partitions and its view of the store."""
    ports: dict[int, ShardPort] = {number: sibling.calls for number, sibling in directory.siblings.items()}
    rows = [_member(config, node, number, ports.get(number, node)) for number in members.numbers]
    return ClusterInfo(
        version=members.version,
        partitions=node.settings.partitions,
        members=list(await asyncio.gather(*rows)),
    )


async def _member(config: Config, node: ShardNode, number: int, port: ShardPort) -> MemberInfo:
    name = worker_name(config, number)
    state, reason = await _state_of(port)
    return MemberInfo(
        node=name,
        address=None,
        is_draining=False,
        partitions=len(node.ring.owned_by(name)),
        store=None if state is None else _view_of(config, state),
        reason=reason or UNSET,
        notices=[] if state is None else list(state.node_notices),
    )


async def _state_of(port: ShardPort) -> tuple[StoreState | None, str | None]:
    try:
        return await port.call(DescribeStore()), None
    except SharqError as error:
        return None, error.message


def _view_of(config: Config, state: StoreState) -> StoreView:
    return StoreView(
        mode="embedded" if config.store.mode is StoreMode.EMBEDDED else state.mode,
        is_reachable=state.is_reachable,
        notices=list(state.notices),
        reason=state.reason or UNSET,
    )
