"""Defines the routes for operators: health, readiness, cluster, metrics and OpenAPI."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.cluster_shapes import ClusterInfo
from router.api.response_shapes import (
    Done,
    HelloAnswer,
    Ready,
    TokenAnswer,
)
from router.api.routes.route import Route, Tag
from sharq_core.errors import (
    Forbidden,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)

OPERATIONS = (
    Route(
        operation="hello",
        operation_id="get_greeting",
        tag=Tag.OPERATIONS,
        permissions=(),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/",),
        summary="Get the greeting of the original server.",
        answers={200: (HelloAnswer,)},
        is_open=True,
    ),
    Route(
        operation="deepstatus",
        operation_id="check_store",
        tag=Tag.OPERATIONS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/deepstatus/",),
        summary="Check the store: success if every server of it answers.",
        answers={200: (Done,)},
        failures=(Forbidden, Overloaded, Unavailable, OutcomeUnknown),
    ),
    Route(
        operation="healthz",
        operation_id="check_health",
        tag=Tag.OPERATIONS,
        permissions=(),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/healthz",),
        summary="Check the process: success if it is alive (liveness probe).",
        answers={200: (Done,)},
        is_open=True,
    ),
    Route(
        operation="readyz",
        operation_id="check_readiness",
        tag=Tag.OPERATIONS,
        permissions=(),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/readyz",),
        summary="Check the readiness: success if a load balancer may send requests here (readiness probe).",
        answers={200: (Ready,)},
        failures=(Unavailable,),
        is_open=True,
    ),
    Route(
        operation="cluster",
        operation_id="get_cluster",
        tag=Tag.OPERATIONS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/cluster/",),
        summary="Get the state of the cluster: its members, the ring version, the partitions and the store of each "
        "node.",
        answers={200: (ClusterInfo,)},
        failures=(Forbidden, Overloaded),
    ),
    Route(
        operation="token",
        operation_id="get_token",
        tag=Tag.OPERATIONS,
        permissions=(),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/token/",),
        summary="Get the rights of the token: the permissions, queue types and limits of the one that the request "
        "carries.",
        answers={200: (TokenAnswer,)},
        failures=(Forbidden, Overloaded),
    ),
    Route(
        operation="prometheus",
        operation_id="get_prometheus_metrics",
        tag=Tag.OPERATIONS,
        permissions=(Permission.READ,),
        types=TypesAt.LISTED,
        methods=("GET",),
        paths=("/metrics",),
        summary="Get the Prometheus metrics: those of this process, in the Prometheus text format.",
        answers={200: ()},
        media_type="text/plain",
        failures=(Forbidden, Overloaded),
    ),
    Route(
        operation="openapi",
        operation_id="get_openapi_document",
        tag=Tag.OPERATIONS,
        permissions=(),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/openapi.json",),
        summary="Get this document.",
        answers={200: ()},
        failures=(Forbidden, Overloaded),
    ),
)
