"""The pages: one takes a text, one shows what has become of it, and two count the texts of a customer."""

from __future__ import annotations

import json
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.tasks import TaskResult, TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .models import Text
from .tasks import count_texts, send_text


@csrf_exempt
@require_POST
def take_text(request: HttpRequest) -> JsonResponse:
    """Store a text, and enqueue its task once the transaction is committed, so that the worker finds it."""
    order = json.loads(request.body)
    with transaction.atomic():
        text = Text.objects.create(customer=order["customer"], body=order["body"])
        transaction.on_commit(lambda: enqueue(text, order.get("priority", 0), order.get("after_s", 0)))
    return JsonResponse({"id": text.pk}, status=202)


def enqueue(text: Text, priority: int, after_s: float) -> None:
    """Enqueue the task that sends a text, and note the id of its result."""
    task = send_text.using(priority=priority)
    if after_s:
        task = task.using(run_after=timezone.now() + timedelta(seconds=after_s))
    result = task.enqueue(text.pk, customer=text.customer)
    Text.objects.filter(pk=text.pk).update(result_id=result.id)


def show_text(_request: HttpRequest, text_id: int) -> JsonResponse:
    """Show what has become of a text."""
    text = Text.objects.get(pk=text_id)
    try:
        return JsonResponse(described(send_text.get_result(text.result_id)))
    except TaskResultDoesNotExist:
        return JsonResponse({"error": "nothing is known about it any more"}, status=404)


@csrf_exempt
@require_POST
async def order_count(_request: HttpRequest, customer: str) -> JsonResponse:
    """Let the texts of a customer be counted."""
    result = await count_texts.aenqueue(customer)
    return JsonResponse({"result": result.id}, status=202)


async def show_count(_request: HttpRequest, result_id: str) -> JsonResponse:
    """Show the number of texts once it is counted."""
    return JsonResponse(described(await count_texts.aget_result(result_id)))


def described(result: TaskResult) -> dict[str, object]:
    """Return a result as JSON."""
    is_done = result.status == TaskResultStatus.SUCCESSFUL
    return {
        "status": result.status,
        "attempts": result.attempts,
        "value": result.return_value if is_done else None,
        "errors": [error.exception_class_path for error in result.errors],
    }
