"""Reads the OPTIONS of a backend in the setting TASKS, and says what is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.tasks.base import Task
from django.utils.module_loading import import_string

from sharq_client.requests import EnqueueJob
from sharq_client.sync.client import Client

JobOf: TypeAlias = Callable[[Task, list[Any], dict[str, Any]], Mapping[str, Any]]
"""A function of a project that gets a task with its arguments, and returns fields of its job."""

CLIENT_OPTIONS = ("url", "token", "timeout_s", "retries", "ca")
"""The options that are arguments of Client."""

OPTIONS = ("job", "type_prefix", "client", *CLIENT_OPTIONS)

DEFAULT_JOB = {"queue_id": "default", "interval": 0}
"""The fields of each job without the option `job`: one queue without a rate."""

OWN_FIELDS = frozenset({"queue_type", "payload", "job_id", "at", "delay", "priority", "repeat"})
"""The fields of a job that the backend sets, so that a project may not."""


def client_of(options: Mapping[str, Any]) -> Client:
    """Return the client of a backend. Backends with the same options share one, because Django makes many backends.

    Raises:
        ImproperlyConfigured: an option of the client has a value that it does not take, or `client` makes no Client.
    """
    if (make := options.get("client")) is not None:
        client = _called(make, "client")()
        if not isinstance(client, Client):
            raise ImproperlyConfigured(
                f"client: expected a function that returns a Client, got {type(client).__name__}"
            )
        return client
    given = {name: options[name] for name in CLIENT_OPTIONS if name in options}
    if isinstance(given.get("url"), Sequence) and not isinstance(given["url"], str):
        given["url"] = tuple(given["url"])
    try:
        return _shared_client(**given)
    except (TypeError, ValueError, OSError) as error:
        raise ImproperlyConfigured(str(error)) from error


def job_of(options: Mapping[str, Any]) -> JobOf:
    """Return the function that says the fields of a job.

    Raises:
        ImproperlyConfigured: the option `job` is neither a mapping, nor a function or its dotted path.
    """
    job = options.get("job", DEFAULT_JOB)
    if isinstance(job, Mapping):
        fields = dict(job)
        return lambda _task, _args, _kwargs: fields
    return _called(job, "job")


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured if a project names a field of a job that does not exist, or is the backend's."""
    for name in fields:
        if name in OWN_FIELDS:
            raise ImproperlyConfigured(f"job.{name}: the backend sets it from the task")
        if name not in _KNOWN_FIELDS:
            raise ImproperlyConfigured(f"job.{name}: unknown; the fields are {', '.join(_KNOWN_FIELDS)}")


def problems_of(options: Mapping[str, Any], queues: set[str]) -> Iterator[str]:
    """Yield what is wrong with the settings of a backend. Nothing is sent."""
    for name in options:
        if name not in OPTIONS:
            yield f"{name}: unknown option; the options are {', '.join(OPTIONS)}"
    for name in sorted(queues):
        if ":" in name or "/" in name:
            yield f"QUEUES: {name!r} has a ':' or a '/', which stand between the parts of a result's id"
    for check in (client_of, job_of):
        try:
            check(options)
        except ImproperlyConfigured as error:
            yield str(error)
    if isinstance(options.get("job"), Mapping):
        try:
            check_fields(options["job"])
        except ImproperlyConfigured as error:
            yield str(error)


_KNOWN_FIELDS = tuple(
    field.encode_name for field in msgspec.structs.fields(EnqueueJob) if field.encode_name not in OWN_FIELDS
)


@functools.cache
def _shared_client(**options: Any) -> Client:
    return Client(**options)


def _called(given: object, name: str) -> Callable[..., Any]:
    try:
        function = import_string(given) if isinstance(given, str) else given
    except ImportError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error
    if not callable(function):
        raise ImproperlyConfigured(f"{name}: expected a function or its dotted path, got {function!r}")
    called: Callable[..., Any] = function
    return called
