"""Runs a whole cluster by `sharq-cluster`, and measures the CPU time of each of its tiers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from benchmarks.processes.cpu import cpu_us
from benchmarks.processes.servers import Server, python_child, wait_until
from sharq_server.local_cluster.ports import free_ports_in_a_row
from sharq_server.local_cluster.state_file import State


class Tiers(msgspec.Struct, frozen=True):
    """CPU time in µs, all processes of a tier together."""

    router: float
    shard: float
    store: float

    def __sub__(self, earlier: Tiers) -> Tiers:
        return Tiers(self.router - earlier.router, self.shard - earlier.shard, self.store - earlier.store)

    def __add__(self, more: Tiers) -> Tiers:
        return Tiers(self.router + more.router, self.shard + more.shard, self.store + more.store)

    def a_job(self, jobs: float) -> Tiers:
        """Return the cost of one job, from the cost of `jobs` jobs."""
        return Tiers(self.router / jobs, self.shard / jobs, self.store / jobs)


class Cluster:
    """A running cluster."""

    def __init__(self, state: State) -> None:
        self.routers = self._servers(state, "router")
        self.shards = self._servers(state, "shard")
        self.stores = self._servers(state, "store")

    @property
    def cpu(self) -> Tiers:
        """Return the CPU time of each tier since its start; every process must be alive."""
        groups = (self.routers, self.shards, self.stores)
        return Tiers(*(sum(cpu_us(server.pid) for server in group) for group in groups))

    @staticmethod
    def _servers(state: State, role: str) -> list[Server]:
        return [Server(process.url, process.pid) for process in state.of(role)]


@contextmanager
def cluster(routers: int, shards: int) -> Iterator[Cluster]:
    """Run `sharq-cluster` on one store with an append-only file and yield it when all is ready.

    Raises:
        Spoiled: it did not start.
        ListenError: the machine has no free ports in a row.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sharq-bench-")))
        state = directory / "state.json"
        numbers = [
            "--routers",
            str(routers),
            "--shards",
            str(shards),
            "--port",
            str(free_ports_in_a_row(routers)),
        ]
        places = ["--data-dir", "data", "--state-file", state.name]
        process = stack.enter_context(
            python_child("sharq_server.local_cluster.main", [*numbers, *places], directory)
        )
        wait_until(state.exists, process, directory)
        yield Cluster(msgspec.json.decode(state.read_bytes(), type=State))
