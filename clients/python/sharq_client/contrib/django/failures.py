"""Turns the exceptions of tasks into the texts that the server keeps, and these into the errors that Django shows."""

from __future__ import annotations

import traceback

from django.tasks.base import TaskError

from sharq_client.worker.outcomes import MAX_ERROR_BYTES

_PREFIX = "TaskFailed: "
"""The beginning of the text of a TaskFailed: the worker puts the name of each exception there."""

_TRACE = "Traceback (most recent call last):\n"

MAX_MESSAGE_BYTES = 512
"""The part of a text that the message of an exception may take, so that the end of its trace is kept, too."""

MAX_TRACE_BYTES = 8 * 1024
"""The end of a trace that is kept of a task that gives up: half of what a result may have."""


class TaskFailed(Exception):
    """Raised to the worker if a task fails. Its message is what the server keeps: class, message and trace."""


class TaskLost(Exception):
    """The error of a task that ended without one of its own: it expired, or its workers died."""


def message_of(error: BaseException) -> str:
    """Return the message of a TaskFailed for an exception of a task."""
    message = _path_of(type(error))
    if text := _words_of(error):
        message += f": {text}"
    message = _utf8(message)[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    room = MAX_ERROR_BYTES - len(_utf8(f"{_PREFIX}{message}\n{_TRACE}"))
    # An exception that was never raised has a message and no lines.
    return f"{message}\n{_TRACE}{_end_of(_trace_of(error).removeprefix(_TRACE), room)}"


def text_of(error: BaseException) -> str:
    """Return what the server keeps of an exception of a task: the same as for a TaskFailed that the worker gets."""
    return _PREFIX + message_of(error)


def to_task_error(error: BaseException) -> TaskError:
    """Return an exception as Django keeps it."""
    trace = _end_of(_trace_of(error), MAX_TRACE_BYTES)
    return TaskError(exception_class_path=_path_of(type(error)), traceback=trace)


def from_text(text: str) -> TaskError:
    """Return the error of a job as Django keeps it. It is a TaskLost if the error is not that of a task."""
    message, trace, lines = text.removeprefix(_PREFIX).partition(f"\n{_TRACE}")
    if not text.startswith(_PREFIX) or not trace:
        return lost(text)
    return TaskError(exception_class_path=message.partition(":")[0], traceback=_TRACE + lines)


def lost(message: str) -> TaskError:
    """Return the error of a task that ended without one of its own."""
    return TaskError(exception_class_path=_path_of(TaskLost), traceback=message)


def _path_of(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _trace_of(error: BaseException) -> str:
    """Return the trace of an exception, without the frame of the handler that has caught it."""
    frames = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frames and frames.tb_next))


def _words_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - an exception of the application may have any __str__
        return f"its message raised {type(failure).__name__}"


def _end_of(text: str, max_bytes: int) -> str:
    return _utf8(text)[-max_bytes:].decode(errors="ignore")


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")
