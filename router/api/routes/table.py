"""The table of the HTTP API: every operation with its paths, its inputs and its answers.

router/app.py attaches the handlers to the table and router/api/openapi.py makes the document from it, so that neither
can miss an operation.
"""

from __future__ import annotations

from router.api.routes.batches import BATCHES
from router.api.routes.caps import CAPS
from router.api.routes.console import CONSOLE
from router.api.routes.jobs import JOBS
from router.api.routes.leases import LEASES
from router.api.routes.operations import OPERATIONS
from router.api.routes.queues import QUEUES
from router.api.routes.schedules import SCHEDULES
from router.api.routes.windows import WINDOWS

ROUTES = (*LEASES, *JOBS, *QUEUES, *CAPS, *WINDOWS, *BATCHES, *SCHEDULES, *OPERATIONS)
"""The operations of the API, all of which are in the OpenAPI document."""

SERVED = (*ROUTES, *CONSOLE)
"""All operations that a router serves. Those of the console are not part of the API."""
