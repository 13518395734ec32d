"""The texts of the document that belong to no single operation or shape."""

from __future__ import annotations

from router.api.routes.route import Tag
from sharq_core.errors import SharqError

SUMMARY = "A distributed queueing system that delivers the jobs of each queue at the queue's own rate."

DESCRIPTION = """\
Producers *enqueue* jobs into queues, workers *dequeue* (lease) and *finish* them. Each queue has a rate that is never \
exceeded, whatever the number of workers and servers.

- **Paths** are served with and without their trailing slash, except `/metrics` (Prometheus) and `/metrics/` (counts).
- **Requests** are JSON, whatever the `Content-Type` header says. An operation without a documented body needs none, \
and also accepts `{}`. A field of a body or a query parameter that an operation does not have is refused with \
`invalid_request`; only `GET` operations under *Operations* ignore unknown query parameters.
- **Answers** may gain fields in later versions, and enumerations in answers may gain values: a client ignores the \
fields that it does not know, and handles the values that it does not know.
- **Times** are integer milliseconds since the epoch by the store's clock, and **durations** are milliseconds.
- **Failures** have the same form for every operation. Their `code` says whether the request was carried out."""

TAGS: dict[Tag, str] = {
    Tag.JOBS: "Enqueue, dequeue and finish jobs one at a time or in bulk, look at them, change them and cancel them.",
    Tag.QUEUES: "Set the rate and the other settings of a queue, pause it, and see what it holds.",
    Tag.TYPES: "Set the limits that all queues of a gathered type share, and see the numbers of every type.",
    Tag.CAPS: "Set limits that any queues share, of any types, such as those of one account or API key.",
    Tag.DEAD_LETTERS: "List, redrive and drop the jobs that passed their requeue limit or expired.",
    Tag.BATCHES: "Follow and cancel jobs that were enqueued together, such as those of a campaign.",
    Tag.SCHEDULES: "Enqueue a job again and again at set times.",
    Tag.WINDOWS: "Define the times of the day in which jobs may be leased.",
    Tag.OPERATIONS: "Check the health of the servers, read metrics, and pause everything.",
}

UNEXPECTED = (
    "An unexpected error of the server, which its log explains. The request may have been carried out."
)


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def failure_meaning(error: type[SharqError]) -> str:
    """Return the code of an error and what it means."""
    return f"`{error.code}`: {UNEXPECTED if error is SharqError else first_paragraph(error.__doc__)}"
