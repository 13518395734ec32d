"""Shows the members of a cluster, and the store as each sees it."""

from __future__ import annotations

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import BAD, GOOD, ODD, Cell
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cluster import Member

_COLUMNS = (
    Column("node"),
    Column("address"),
    Column("partitions", is_number=True),
    Column("away", is_number=True, is_optional=True),
    Column("state"),
    Column("store"),
    Column("remarks", is_optional=True),
)


def cluster(session: Session) -> None:
    """Show the shard nodes, their partitions, and what each says of its store.

    The exit code is 1 if a node, or the store of one, cannot be reached.

    Examples:
      sharq cluster
      sharq cluster --json | jq -r '.members[] | select(.store.is_reachable | not).node'
    """
    with session.client() as client:
        state = client.control.cluster()
    if session.output.is_json:
        session.output.document(state)
    else:
        session.output.table(_COLUMNS, [_cells(member) for member in state.members])
        owned = sum(member.partitions for member in state.members)
        session.output.line(
            f"{owned} of {state.partitions} partitions have a node; the ring has version {state.version}."
        )
        if state.reason:
            session.output.line(state.reason, BAD)
        for notice in state.notices:
            session.output.line(notice, ODD)
    troubled = [member.node for member in state.members if _is_troubled(member)]
    if state.reason or troubled:
        raise Failed(f"not in order: {', '.join(troubled) or state.reason}", Exit.FAILED)


def _is_troubled(member: Member) -> bool:
    store = member.store
    return bool(member.reason) or (store is not None and (not store.is_reachable or bool(store.reason)))


def _cells(member: Member) -> list[Cell]:
    store = member.store
    remarks = [*filter(None, [member.reason]), *member.notices]
    if store is not None:
        remarks += [store.reason] if store.reason else []
        remarks += store.notices
    return [
        member.node,
        member.address or "this process",
        str(member.partitions),
        str(store.partitions_away) if store is not None else "",
        _state(member),
        _store(member),
        ("; ".join(remarks), ODD),
    ]


def _state(member: Member) -> Cell:
    if member.reason:
        return "unreachable", BAD
    return ("draining", ODD) if member.is_draining else ("up", GOOD)


def _store(member: Member) -> Cell:
    if member.store is None:
        return "has not said yet", ODD
    return member.store.mode if member.store.is_reachable else (f"{member.store.mode}, unreachable", BAD)
