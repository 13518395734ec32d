"""Makes the spans of the client and of the worker, if the program uses OpenTelemetry.

A program uses it if it has set a tracer provider. Otherwise this module imports nothing, and costs a look at the loaded
modules. docs/tracing.md describes the spans. They follow OpenTelemetry's conventions for messaging.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec

from sharq_client.errors import SharqError
from sharq_client.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, SpanKind, Tracer

    from sharq_client.bodies import EnqueueBody
    from sharq_client.requests import Addressed

MAX_LINKS = 128
"""The most links of one span, which is the limit of the SDK, too."""

MAX_TRACESTATE_BYTES = 512
"""The longest tracestate that the server takes with a job; a longer one is left out."""

_API = "opentelemetry.trace"
_TRACEPARENT, _TRACESTATE = "traceparent", "tracestate"

_Attributes: TypeAlias = dict[str, str | int]
AnswerT = TypeVar("AnswerT")


class Spanned:
    """A span that may be there, for the code that knows how the work went."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def received(self, jobs: Sequence[Any]) -> None:
        """Say which jobs a call has leased."""
        if self._span is None:
            return
        self._span.set_attribute("messaging.batch.message_count", len(jobs))
        for context in _contexts(jobs):
            self._span.add_link(context)

    def answered(self, answers: Sequence[object]) -> None:
        """Say how many jobs of a bulk call failed; the call failed if all did."""
        failed = [answer for answer in answers if isinstance(answer, SharqError)]
        if self._span is None or not failed:
            return
        self._span.set_attribute("sharq.failed", len(failed))
        if len(failed) == len(answers):
            _fail(self._span, failed[0])


_NO_SPAN = Spanned(None)


class Tracing:
    """The maker of the spans of one client.

    Args:
        is_wanted: False for no spans, and no trace contexts in requests and jobs.
        url: the first server of the client.
    """

    def __init__(self, url: str, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._tracer: Tracer | None = None
        self._provider: object = None
        place = urlsplit(url)
        self._server: _Attributes = {"messaging.system": "sharq"}
        if place.hostname:
            self._server["server.address"] = place.hostname
            self._server["server.port"] = place.port or (443 if place.scheme == "https" else 80)

    def headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Return the headers of a request, with the context of the current span if there is one."""
        if not self._is_wanted or (api := sys.modules.get(_API)) is None:
            return headers
        context: SpanContext = api.get_current_span().get_span_context()
        return {**headers, **_fields_of(context)} if context.is_valid else headers

    def send(self, job: EnqueueBody) -> AbstractContextManager[EnqueueBody]:
        """Give the enqueue of one job a span, and yield the job with the span's context, unless it has its own."""
        tracer = self._find_tracer()
        if tracer is None:
            return nullcontext(job)
        return self._sending_one(tracer, job)

    def send_many(self, jobs: list[EnqueueBody]) -> AbstractContextManager[tuple[list[EnqueueBody], Spanned]]:
        """Give a bulk enqueue one span, and yield the jobs with its context, except those that have their own."""
        tracer = self._find_tracer()
        if tracer is None:
            return nullcontext((jobs, _NO_SPAN))
        return self._sending(tracer, jobs)

    def receive(self, queue_type: str | Sequence[str]) -> AbstractContextManager[Spanned]:
        """Give a dequeue a span, which links to the traces of the leased jobs."""
        tracer = self._find_tracer()
        if tracer is None:
            return nullcontext(_NO_SPAN)
        types = [queue_type] if isinstance(queue_type, str) else queue_type
        return self._calling(tracer, "dequeue", "receive", types, {}, ())

    def settle(self, verb: str, job: Addressed) -> AbstractContextManager[Spanned]:
        """Give the finish or the release of one job a span, which links to the job's trace."""
        tracer = self._find_tracer()
        if tracer is None:
            return nullcontext(_NO_SPAN)
        return self._calling(tracer, verb, "settle", [job.queue_type], _of_job(job), [job])

    def settle_many(self, verb: str, jobs: Sequence[Any]) -> AbstractContextManager[Spanned]:
        """Give the finish or the release of several jobs one span."""
        tracer = self._find_tracer()
        if tracer is None:
            return nullcontext(_NO_SPAN)
        types = [
            job["queue_type"] if isinstance(job, dict) else getattr(job, "queue_type", "") for job in jobs
        ]
        size: _Attributes = {"messaging.batch.message_count": len(jobs)}
        return self._calling(tracer, verb, "settle", types, size, jobs)

    def process(self, jobs: Sequence[Any], *, is_batch: bool) -> Processing | None:
        """Return what makes the span of a call of a handler; None if there is none.

        The span of a first attempt is a child of the span that made the job. That of a later one, and that of a batch,
        begins a trace and links to it. Whether the program uses OpenTelemetry was looked up by the dequeue of the jobs:
        a look for each job took a tenth of the worker's CPU time in a program that has the library but no provider.
        """
        tracer = self._tracer
        if tracer is None:
            return None
        first = jobs[0]
        details: _Attributes = {"messaging.batch.message_count": len(jobs)}
        if not is_batch:
            details = {**_of_job(first), "sharq.attempt": first.attempt}
        attributes = self._attributes("process", "process", [job.queue_type for job in jobs], details)
        return Processing(tracer, jobs, attributes, continues=not is_batch and first.attempt == 1)

    @contextlib.contextmanager
    def detached(self) -> Iterator[None]:
        """Run a block outside of the current span, as the work of a worker that was started within one."""
        if self._find_tracer() is None:
            yield
            return
        from opentelemetry import context  # noqa: PLC0415 - the program has loaded it

        before = context.attach(context.Context())
        try:
            yield
        finally:
            context.detach(before)

    def _find_tracer(self) -> Tracer | None:
        """Return the tracer of the program's provider; None if the program has none, or wants no spans here."""
        if not self._is_wanted or (api := sys.modules.get(_API)) is None:
            return None
        provider = api.get_tracer_provider()
        if provider is not self._provider:
            is_set = not isinstance(provider, api.ProxyTracerProvider)
            self._tracer = provider.get_tracer("sharq_client", __version__) if is_set else None
            self._provider = provider
        return self._tracer

    def _attributes(
        self, verb: str, operation_type: str, types: Sequence[str], details: _Attributes
    ) -> _Attributes:
        attributes: _Attributes = {
            **self._server,
            "messaging.operation.name": verb,
            "messaging.operation.type": operation_type,
            **details,
        }
        if len(names := set(types)) == 1:
            attributes["messaging.destination.name"] = names.pop()
        return attributes

    @contextlib.contextmanager
    def _sending_one(self, tracer: Tracer, job: EnqueueBody) -> Iterator[EnqueueBody]:
        attributes = self._attributes("enqueue", "send", [job.queue_type], _of_job(job))
        with _span(tracer, attributes, _kind_of_send([job]), [job]) as span:
            yield _with_context(job, span.get_span_context())

    @contextlib.contextmanager
    def _sending(
        self, tracer: Tracer, jobs: list[EnqueueBody]
    ) -> Iterator[tuple[list[EnqueueBody], Spanned]]:
        size: _Attributes = {"messaging.batch.message_count": len(jobs)}
        attributes = self._attributes("enqueue", "send", [job.queue_type for job in jobs], size)
        with _span(tracer, attributes, _kind_of_send(jobs), jobs) as span:
            context = span.get_span_context()
            yield [_with_context(job, context) for job in jobs], Spanned(span)

    @contextlib.contextmanager
    def _calling(
        self,
        tracer: Tracer,
        verb: str,
        operation_type: str,
        types: Sequence[str],
        details: _Attributes,
        jobs: Sequence[Any],
    ) -> Iterator[Spanned]:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - the program has loaded it

        attributes = self._attributes(verb, operation_type, types, details)
        with _span(tracer, attributes, SpanKind.CLIENT, jobs) as span:
            yield Spanned(span)


class Processing:
    """The span of one call of a handler.

    Args:
        continues: True if the span is a child of the one that made the job.
    """

    def __init__(
        self, tracer: Tracer, jobs: Sequence[Any], attributes: _Attributes, *, continues: bool
    ) -> None:
        self._tracer = tracer
        self._jobs = jobs
        self._attributes = attributes
        self._continues = continues
        self._span: Span | None = None

    @contextlib.contextmanager
    def span(self, outcomes: Mapping[type[BaseException], str]) -> Iterator[None]:
        """Run a block within the span.

        Args:
            outcomes: the exceptions that are outcomes and no failures, with the words for them.
        """
        from opentelemetry import trace  # noqa: PLC0415 - the program has loaded it
        from opentelemetry.context import Context  # noqa: PLC0415

        contexts, parent = _contexts(self._jobs), Context()
        if self._continues and contexts:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0]), parent)
        links = [] if self._continues else [trace.Link(context) for context in contexts]
        kind = trace.SpanKind.CONSUMER
        span = self._tracer.start_span(_name_of(self._attributes), parent, kind, self._attributes, links)
        self._span = span
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                if not _note(span, error, outcomes):
                    _fail(span, error)
                    span.record_exception(error)
                raise

    def returned(self, value: object, outcomes: Mapping[type[BaseException], str]) -> None:
        """Say what the handler returned: a returned exception counts as if it were raised."""
        span = self._span
        if span is None:
            return
        if isinstance(value, BaseException):
            if not _note(span, value, outcomes):
                _fail(span, value)
        elif isinstance(value, list | tuple):
            raised = [each for each in value if isinstance(each, BaseException)]
            failed = [each for each in raised if not isinstance(each, tuple(outcomes))]
            if failed:
                span.set_attribute("sharq.failed", len(failed))
            if failed and len(failed) == len(value):
                _fail(span, failed[0])


@contextlib.contextmanager
def _span(tracer: Tracer, attributes: _Attributes, kind: SpanKind, jobs: Sequence[Any]) -> Iterator[Span]:
    """Run a block within a span that links to the contexts that jobs have; its errors become those of the span."""
    from opentelemetry import trace  # noqa: PLC0415 - the program has loaded it

    links = [trace.Link(context) for context in _contexts(jobs)]
    span = tracer.start_span(_name_of(attributes), None, kind, attributes, links)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            _fail(span, error)
            raise


def _kind_of_send(jobs: Sequence[EnqueueBody]) -> SpanKind:
    """Return PRODUCER if the span's context becomes that of a job, else CLIENT, as the conventions ask."""
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - the program has loaded it

    return SpanKind.PRODUCER if any(job.traceparent is None for job in jobs) else SpanKind.CLIENT


def _name_of(attributes: _Attributes) -> str:
    """Return the name of a span: the operation, and the queue type if there is one for all its jobs."""
    name, destination = attributes["messaging.operation.name"], attributes.get("messaging.destination.name")
    return f"{name} {destination}" if destination else str(name)


def _of_job(job: Any) -> _Attributes:
    return {"messaging.message.id": job.job_id or "", "sharq.queue_id": job.queue_id}


def _with_context(job: EnqueueBody, context: SpanContext) -> EnqueueBody:
    """Return a job with a context, unless it has its own."""
    if job.traceparent is not None or not context.is_valid:
        return job
    return msgspec.structs.replace(job, **_fields_of(context))


def _fields_of(context: SpanContext) -> dict[str, str]:
    """Return the traceparent and, if there is one, the tracestate of a context."""
    fields = {_TRACEPARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"}
    state = context.trace_state.to_header()
    if state and state.isascii() and len(state) <= MAX_TRACESTATE_BYTES:
        fields[_TRACESTATE] = state
    return fields


def _contexts(jobs: Sequence[Any]) -> list[SpanContext]:
    """Return the contexts that jobs have, each once, the first MAX_LINKS of them."""
    distinct = dict.fromkeys(
        (job.traceparent, job.tracestate) for job in jobs if getattr(job, "traceparent", None)
    )
    contexts = (_context_of(*fields) for fields in list(distinct)[:MAX_LINKS])
    return [context for context in contexts if context is not None]


def _context_of(traceparent: str, tracestate: str | None) -> SpanContext | None:
    """Return the context of a job; None if the traceparent is none."""
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState  # noqa: PLC0415 - the program has loaded it

    try:
        _, trace_id, span_id, flags = traceparent.split("-")[:4]
        context = SpanContext(
            int(trace_id, 16),
            int(span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(flags, 16)),
            trace_state=TraceState.from_header([tracestate] if tracestate else []),
        )
    except ValueError:
        return None
    return context if context.is_valid else None


def _note(span: Span, error: BaseException, outcomes: Mapping[type[BaseException], str]) -> bool:
    """Add the word for an exception that is an outcome; return False if it is a failure."""
    for error_class, word in outcomes.items():
        if isinstance(error, error_class):
            span.set_attribute("sharq.outcome", word)
            return True
    return False


def _fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed: with the code of an error of the server, or the name of another exception."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - the program has loaded it

    span.set_attribute(
        "error.type", error.code if isinstance(error, SharqError) else type(error).__qualname__
    )
    span.set_status(Status(StatusCode.ERROR, str(error) or None))
