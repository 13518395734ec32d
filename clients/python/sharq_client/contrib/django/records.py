"""Defines what a job of a task carries: its payload, the result that is kept of it, and the id of that result.

It is plain JSON by the standard library, as with Django's own backends: integers of any length pass, NaN is refused.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from sharq_client.worker.handlers.results import MAX_RESULT_BYTES

RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class TaskPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a job.

    Attributes:
        task: the dotted path of the task.
        priority: the priority that Django knows, -100 to 100.
        run_after: the time before which the task does not run, in ms since the epoch; None for none.
    """

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    priority: int = 0
    run_after: int | None = None

    def to_json(self) -> msgspec.Raw:
        """Return the JSON text. Raise TypeError or ValueError for what is not JSON."""
        return msgspec.Raw(_json_bytes(msgspec.structs.asdict(self)))


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The result that the server keeps of a task that has ended, since it forgets the payload then.

    Attributes:
        is_successful: False if the task failed and shall not be tried again.
        attempt: the number of the delivery that ended it.
        started_at, finished_at: the times of that delivery, in ms since the epoch by the worker's clock.
        errors: pairs of the dotted path of an exception and its trace.
    """

    payload: TaskPayload
    is_successful: bool
    attempt: int
    worker_id: str
    started_at: int
    finished_at: int
    return_value: Any = None
    errors: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> msgspec.Raw:
        """Return the JSON text, without the arguments if they make it longer than a result may be.

        Raises:
            TypeError, ValueError: the return value is not JSON, or too long by itself.
        """
        text = self._with(self.payload)
        if len(text) > MAX_RESULT_BYTES:
            text = self._with(msgspec.structs.replace(self.payload, args=[], kwargs={}))
        if len(text) > MAX_RESULT_BYTES:
            raise ValueError(
                f"return value: the result has {len(text)} bytes of JSON, and may have {MAX_RESULT_BYTES}"
            )
        return msgspec.Raw(text)

    def _with(self, payload: TaskPayload) -> bytes:
        return _json_bytes({**msgspec.structs.asdict(self), "payload": msgspec.structs.asdict(payload)})


def payload_of(text: bytes) -> TaskPayload:
    """Return the payload of a job. Raise ValueError if it is not that of a task."""
    return _read(text, TaskPayload, "payload")


def record_of(text: bytes) -> TaskRecord:
    """Return the kept result of a task. Raise ValueError if it is not that of a task."""
    return _read(text, TaskRecord, "result")


def id_of(queue_name: str, job_id: str, queue_id: str) -> str:
    """Return the id of a result, from which its job can be found. Only the queue id may have a ':'."""
    return f"{queue_name}:{job_id}:{queue_id}"


def parts_of(result_id: str) -> tuple[str, str, str] | None:
    """Return the queue name, the job id and the queue id of a result's id; None if it is no such id."""
    parts = result_id.split(":", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _read(text: bytes, kind: type[RecordT], name: str) -> RecordT:
    try:
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise ValueError(f"{name}: it is not that of a task of Django: {error}") from error
