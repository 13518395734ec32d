"""The web application: it enqueues reports, says how far they are, and passes the word of a full queue on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from sharq_client import AsyncClient, EnqueueJob, InvalidRequest, QueueFull, SharqError

REPORTS_PER_S = 4


class ReportOrder(BaseModel):
    """The order of a report."""

    customer: str
    month: str


class ReportState(BaseModel):
    """The state of a report, with the result once it is finished."""

    state: str
    progress: Any = None
    result: Any = None
    error: str | None = None


def create_app(sharq: AsyncClient | None = None) -> FastAPI:
    """Return the application. A test hands in the client of its FakeSharq; otherwise SHARQ_URL names the server."""
    client = sharq or AsyncClient()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:  # one client for the process, whose connections are closed at the end
            yield

    app = FastAPI(title="Reports", lifespan=lifespan)

    @app.post("/reports", status_code=202)
    async def order_report(order: ReportOrder) -> dict[str, str]:
        queued = await client.enqueue(
            EnqueueJob(
                queue_type="reports",
                queue_id=order.customer,
                payload={"month": order.month},
                rate=f"{REPORTS_PER_S}/s",
                max_queued_length=5,
            )
        )
        return {"job": f"/jobs/{order.customer}/{queued.job_id}"}

    @app.get("/jobs/{customer}/{job_id}")
    async def show_report(
        customer: str, job_id: str, wait: Annotated[float, Query(ge=0, le=60, description="seconds")] = 0
    ) -> ReportState:
        job = await client.jobs.wait("reports", customer, job_id, timeout_s=wait)
        if job is None:
            raise HTTPException(404, "no such report, or it was finished long ago")
        return ReportState(state=job.state, progress=job.progress, result=job.result, error=job.error)

    @app.exception_handler(QueueFull)
    async def refuse(_: Request, error: QueueFull) -> JSONResponse:
        # About when there is room again for all that wait now.
        after_s = max(1, error.queue_length // REPORTS_PER_S)
        detail = f"{error.queue_length} reports of this customer wait already"
        return JSONResponse({"detail": detail}, 429, {"Retry-After": str(after_s)})

    @app.exception_handler(SharqError)
    async def explain(_: Request, error: SharqError) -> JSONResponse:
        status = 400 if isinstance(error, InvalidRequest) else 503
        return JSONResponse({"detail": error.message}, status)

    return app
