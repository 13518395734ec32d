"""Handlers for operators: health, readiness, cluster, the caller's rights, Prometheus and OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from copy import copy

from msgspec import UNSET
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from router.access.permissions import ALL_PERMISSIONS, in_order
from router.api.cluster_shapes import ClusterInfo
from router.api.response_shapes import Done, HelloAnswer, Ready, TokenAnswer
from router.http.request import Request
from router.http.response import Response, answer
from router.readiness import Readiness
from router.shards.dispatch import Dispatch
from sharq_core.errors import Unavailable
from sharq_core.http_port.metrics_text import metrics_text

QUEUE_TYPE_LABEL = "queue_type"
"""The label of the queue type. A caller who may not see all types gets only the samples of its own types."""


class OperationHandlers:
    """The handlers of health, readiness and the state of the service.

    Args:
        all_metrics: returns the metrics of all workers; None if this process is the only one.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        registry: CollectorRegistry,
        readiness: Readiness,
        cluster_info: Callable[[], Awaitable[ClusterInfo]],
        openapi: bytes,
        all_metrics: Callable[[], Awaitable[Collector]] | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._registry = registry
        self._readiness = readiness
        self._cluster_info = cluster_info
        self._openapi = openapi
        self._all_metrics = all_metrics

    async def hello(self, _: Request) -> Response:
        """Return the greeting of the original server."""
        return answer(HelloAnswer())

    async def healthz(self, _: Request) -> Response:
        """Answer, which shows that the event loop runs."""
        return answer(Done())

    async def readyz(self, _: Request) -> Response:
        """Answer 200 if a load balancer may send requests here; raise Unavailable otherwise."""
        if self._readiness.reason is not None:
            raise Unavailable(self._readiness.reason)
        return answer(Ready(warning=self._readiness.warning() or UNSET))

    async def deepstatus(self, _: Request) -> Response:
        """Answer 200 if every server of the store answers; raise Unavailable otherwise."""
        await self._dispatch.check_store()
        return answer(Done())

    async def cluster(self, _: Request) -> Response:
        """Return the members, the number of partitions of each, and the state of their stores."""
        return answer(await self._cluster_info())

    async def token(self, request: Request) -> Response:
        """Return the rights of the caller; all of them if the server asks for no tokens."""
        token = request.token
        return answer(
            TokenAnswer(
                name=None if token is None else token.name,
                ops=in_order(ALL_PERMISSIONS if token is None else token.permissions),
                types=None if token is None or token.types is None else list(token.types.patterns),
                caps=None if token is None or token.caps is None else list(token.caps.patterns),
                max_queued=None if token is None else token.max_queued,
                rps=None if token is None else token.rps,
            )
        )

    async def prometheus(self, request: Request) -> Response:
        """Return the metrics of the process as Prometheus text, without unseen queue types."""
        token = request.token
        is_whole = token is None or token.types is None
        metrics = self._registry if self._all_metrics is None else await self._all_metrics()
        shown = metrics if is_whole else _SeenMetrics(metrics, request.sees)
        return Response(await metrics_text(shown), headers=(("Content-Type", CONTENT_TYPE_LATEST),))

    async def openapi(self, _: Request) -> Response:
        """Return the OpenAPI document."""
        return Response(self._openapi)


class _SeenMetrics(Collector):
    """The metrics of a registry, without the samples of unseen queue types."""

    def __init__(self, registry: Collector, sees: Callable[[str], bool]) -> None:
        self._registry = registry
        self._sees = sees

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for metric in self._registry.collect():
            seen = copy(metric)
            seen.samples = [sample for sample in metric.samples if self._shows(sample)]
            yield seen

    def _shows(self, sample: Sample) -> bool:
        queue_type = sample.labels.get(QUEUE_TYPE_LABEL)
        return queue_type is None or self._sees(queue_type)
