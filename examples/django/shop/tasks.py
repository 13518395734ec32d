"""The tasks. Nothing here knows SHARQ, except for the pause that the carrier asks for."""

from __future__ import annotations

from typing import Any

import urllib3
from django.conf import settings
from django.tasks import TaskContext, task

from sharq_client import Throttled

from .models import Text

http = urllib3.PoolManager(maxsize=10, retries=False, timeout=5)


@task(queue_name="texts", takes_context=True)
def send_text(context: TaskContext, text_id: int, *, customer: str) -> dict[str, Any]:
    """Give a text to the carrier. If it raises, it is tried again, ever more rarely."""
    text = Text.objects.get(pk=text_id)
    sent = {"customer": customer, "text": text.body, "attempt": context.attempt}
    answer = http.request("POST", settings.CARRIER_URL, json=sent)
    if answer.status == 429:
        raise Throttled(float(answer.headers["Retry-After"]))
    if answer.status != 200:
        raise RuntimeError(f"the carrier answered {answer.status}")
    return {"receipt": answer.json()["receipt"]}


@task
async def count_texts(customer: str) -> int:
    """Count the texts of a customer, on the event loop of the worker."""
    count: int = await Text.objects.filter(customer=customer).acount()
    return count
