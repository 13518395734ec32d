"""The answers of a server that has not read its data yet: the process lives, and everything else is to come back soon.

Not here: what answers once it has (router/front.py).
"""

from __future__ import annotations

from router.answers import Answer, Done, answer
from router.errors import failure_answer
from router.incoming import Request
from sharq_core import request_ids
from sharq_core.errors import Unavailable

_ALIVE = frozenset({"/healthz", "/healthz/"})
_STARTING = "starting: the server reads its data; nothing was done"


async def answer_early(request: Request) -> Answer:
    """Answer 200 at /healthz and 503 for everything else, and close the connection: the next one may be served."""
    request_id = request_ids.begin(request.headers.get("X-Request-Id"))
    is_alive = request.rel_url.raw_path in _ALIVE and request.method in {"GET", "HEAD"}
    early = answer(Done()) if is_alive else failure_answer(Unavailable(_STARTING), "starting")
    early.request_id = request_id
    early.force_close()
    return early
