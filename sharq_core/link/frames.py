"""Defines the wire of a link between a router and a shard: entries, frames, and the proof of the shared secret.

docs/link.md describes it in full.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, Union, cast, get_args

import msgspec

from sharq_core.link import messages
from sharq_core.link.catalogue import CALLS
from sharq_core.link.job_watches import JobKey
from sharq_core.link.messages import Call, View
from sharq_core.logs.request_ids import MAX_LENGTH
from sharq_core.models import NewJob
from sharq_core.telemetry.trace_context import MAX_TRACESTATE_BYTES, PARENT_BYTES

VERSION = 1
"""The protocol's version, the same at both ends. Fields and entries added at the end do not change it."""

PATH = "/link"

MAX_FRAME_BYTES = 1 << 20
"""The most bytes of a frame of several entries; an entry that is longer travels alone."""

MAX_ENTRY_BYTES = 32 << 20
"""The longest entry: the largest configurable payload is 16 MiB, and a dequeue may add it to 8 MiB."""

MAX_MESSAGE_BYTES = MAX_ENTRY_BYTES + 1024
"""The length at which a receiver ends the link."""

READS = frozenset(call for call in CALLS if call.is_read)
"""Calls with no lasting effect: if no answer comes, nothing was done."""

ROUTER, SHARD = b"router", b"shard"
"""The names of the ends in a proof, so that one end's proof is of no use to the other."""

NONCE_BYTES = 32
_JOB_ENVELOPE_BYTES = 512
"""The most bytes of a job besides its payload or result, and its trace: three identifiers of 100 characters and some
numbers.
"""

_HEADER = struct.Struct(">BBqBI")
_PAIR, _INT64, _ARRAY32 = 0x92, 0xD3, 0xDD

T = TypeVar("T")
ReplyT = TypeVar("ReplyT")
LongCall: TypeAlias = messages.Enqueue | messages.Finish
"""The calls that may be longer than a frame."""

Nonce: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


RequestId: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]
Trace: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=PARENT_BYTES + MAX_TRACESTATE_BYTES)]


class FrameError(Exception):
    """A violation of the protocol by the other end, or a different secret.

    The link ends. The message says what is wrong.
    """


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The shard's first message. A later version may only add fields at the end."""

    version: int
    node_id: str
    nonce: Nonce


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The router's answer to Hello.

    Attributes:
        proof: see `prove`.
        reads_away: the router understands Away; older versions do not.
    """

    version: int
    nonce: Nonce
    proof: bytes
    reads_away: bool = False


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The shard's proof and its view; the link is up."""

    proof: bytes
    view: View


class CallFrame(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=3):
    """A call.

    Attributes:
        number: unique among the calls of this connection.
        deadline_us: the shard's clock when the caller stops waiting; a call read later does nothing.
        request_id: the id of its HTTP request, for the log; None for a call of the router itself.
        trace: the context of the span that the shard's spans belong to (sharq_core/telemetry/trace_context.py); empty
            if the request is not traced. Older shards do not look at it.
    """

    number: int
    deadline_us: int
    call: T
    request_id: RequestId | None = None
    trace: Trace = b""


class ReplyFrame(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=4):
    """The result of a call, of the type that the call names."""

    number: int
    result: T


class ErrorFrame(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The error of a call, as sharq_core.errors.from_code takes it."""

    number: int
    code: str
    message: str
    queue_length: int = 0
    is_away: bool = False


class Subscribe(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A request for the time of a type's next due job, now and whenever it becomes earlier.

    A repeated request asks for the time again.
    """

    queue_type: str


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The end of a subscription."""

    queue_type: str


class Due(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The time until a type's next job is due.

    Attributes:
        in_us: microseconds until then; negative for how long a job has been due; None if none waits.
    """

    queue_type: str
    in_us: int | None


class NewView(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The current view."""

    view: View


class Draining(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The notice that the shard stops soon."""


class Away(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The partitions that the shard leaves to others because it does not reach their store server.

    Empty when it takes all of its own back. Sent only to a router whose proof says that it reads this.
    """

    partitions: list[int]


class SubscribeJob(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """A request to be notified whenever a call through the shard has perhaps ended a job."""

    job: JobKey


class UnsubscribeJob(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """The end of a subscription to a job."""

    job: JobKey


class JobEnded(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """The notice that a job is perhaps over."""

    job: JobKey


class Frame(msgspec.Struct, Generic[T], frozen=True, array_like=True):
    """Entries that were sent together.

    Attributes:
        clock_us: the sender's monotonic clock at the sending.
        entries: the entries in order; an empty frame asks the shard for a sign of life, and is one.
    """

    clock_us: int
    entries: list[T]


FromRouter: TypeAlias = Proof | CallFrame[Call[Any]] | Subscribe | Unsubscribe | SubscribeJob | UnsubscribeJob
FromShard: TypeAlias = (
    Hello | Welcome | ReplyFrame[msgspec.Raw] | ErrorFrame | Due | NewView | Draining | Away | JobEnded
)

_AnyCall: Any = Union[CALLS]  # noqa: UP007 - made of the list of calls
_from_router = msgspec.msgpack.Decoder(
    Frame[Union[Proof, CallFrame[_AnyCall], Subscribe, Unsubscribe, SubscribeJob, UnsubscribeJob]]  # noqa: UP007
)
_from_shard = msgspec.msgpack.Decoder(Frame[FromShard])
_replies: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(get_args(kind.__orig_bases__[0])[0])  # type: ignore[attr-defined] # by typing
    for kind in CALLS
}

encode = msgspec.msgpack.Encoder().encode
"""Return the bytes of one entry."""


def pack(clock_us: int, entries: Iterable[bytes], count: int) -> bytes:
    """Return the frame of `count` encoded entries."""
    return b"".join((_HEADER.pack(_PAIR, _INT64, clock_us, _ARRAY32, count), *entries))


def decode_from_router(data: bytes) -> Frame[FromRouter]:
    """Decode a frame that a router sent; raise FrameError for anything else."""
    return cast("Frame[FromRouter]", _decode(_from_router, data))


def decode_from_shard(data: bytes) -> Frame[FromShard]:
    """Decode a frame that a shard sent; raise FrameError for anything else."""
    return _decode(_from_shard, data)


def decode_reply(call: type[Call[ReplyT]], result: msgspec.Raw) -> ReplyT:
    """Decode the result of a call; raise FrameError if it is not one."""
    return cast(ReplyT, _decode(_replies[call], result))


def prove(secret: str | None, who: bytes, shard_nonce: bytes, router_nonce: bytes) -> bytes:
    """Return a proof that only an end with the secret can make on this connection; empty without a secret."""
    if secret is None:
        return b""
    return hmac.digest(secret.encode(), who + shard_nonce + router_nonce, "sha256")


def check_proof(
    secret: str | None, who: bytes, shard_nonce: bytes, router_nonce: bytes, proof: bytes
) -> None:
    """Raise FrameError unless the other end, `who`, has the same secret, or also none."""
    if hmac.compare_digest(prove(secret, who, shard_nonce, router_nonce), proof):
        return
    name = who.decode()
    if secret is None:
        raise FrameError(f"the {name} has a link secret and this end has none")
    if not proof:
        raise FrameError(f"the {name} has no link secret and this end has one")
    raise FrameError(f"the {name} has a different link secret")


def check_version(version: int) -> None:
    """Raise FrameError unless the other end speaks this version."""
    if version != VERSION:
        raise FrameError(f"the other end speaks version {version} of the link, this one version {VERSION}")


def split_jobs(call: LongCall) -> list[LongCall]:
    """Return the calls that do the same in order, each of one job or of as many as fit into a frame."""
    parts: list[list[Any]] = []
    room = 0
    for job in call.jobs:
        size = len(getattr(job, call.text_field)) + _JOB_ENVELOPE_BYTES
        if isinstance(job, NewJob):
            size += len(job.trace)
        if size > room:
            parts.append([])
            room = MAX_FRAME_BYTES
        parts[-1].append(job)
        room -= size
    return [type(call)(jobs) for jobs in parts]


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not a frame of the link: {error}") from error
