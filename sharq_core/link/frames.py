"""What goes over a link between a router and a shard: entries, frames, and the proof that both know the secret.

docs/link.md tells it in full. Not here: sockets and when a frame is sent (sharq_core/link/socket.py), and what each
call asks for (sharq_core/link/messages.py).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, Union, cast, get_args

import msgspec

from sharq_core.link import messages
from sharq_core.link.messages import Call, View
from sharq_core.models import NewJob
from sharq_core.request_ids import MAX_LENGTH

VERSION = 1
"""Of the protocol; both ends must speak the same. Fields and entries that are added at the end do not change it."""

PATH = "/link"

MAX_FRAME_BYTES = 1 << 20
"""A frame of several entries is no longer; one that is longer by itself travels alone."""

MAX_ENTRY_BYTES = 32 << 20
"""The longest entry: the largest payload that can be configured is 16 MiB, and a dequeue may add it to 8 MiB."""

MAX_MESSAGE_BYTES = MAX_ENTRY_BYTES + 1024
"""A receiver ends the link of a message as long as this."""

READS: frozenset[type] = frozenset(
    {
        messages.Peek,
        messages.GetQueue,
        messages.GetJob,
        messages.ListQueues,
        messages.GetTop,
        messages.GetCounts,
        messages.ListDead,
        messages.CheckStore,
        messages.Cover,
        messages.Yield,
        messages.DescribeStore,
    }
)
"""Calls that change nothing that lasts: when no answer comes, nothing was done."""

ROUTER, SHARD = b"router", b"shard"
"""Who proves that it knows the secret; in the proof, so that one end's is of no use to the other."""

NONCE_BYTES = 32
_JOB_ENVELOPE_BYTES = 512
"""What a job takes besides its payload, at most: three identifiers of 100 characters and some numbers."""

_HEADER = struct.Struct(">BBqBI")
_PAIR, _INT64, _ARRAY32 = 0x92, 0xD3, 0xDD

T = TypeVar("T")
ReplyT = TypeVar("ReplyT")

Nonce: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


RequestId: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]


class FrameError(Exception):
    """The other end sent what is not of this protocol, or has another secret; the link ends. Says what was wrong."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The shard's first word. A later version may add fields at the end, nothing else."""

    version: int
    node_id: str
    nonce: Nonce


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The router's answer to the greeting.

    proof: see `prove`. reads_away: it understands Away, which older ones do not.
    """

    version: int
    nonce: Nonce
    proof: bytes
    reads_away: bool = False


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The shard's proof, and who is there: the link is up."""

    proof: bytes
    view: View


class CallFrame(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=3):
    """A call. number: unlike that of any other call on this connection.

    deadline_us: the shard's clock when nobody waits any more; read later than that, nothing is done.
    request_id: of the HTTP request that it is for, for the log; None for what the router does by itself.
    """

    number: int
    deadline_us: int
    call: T
    request_id: RequestId | None = None


class ReplyFrame(msgspec.Struct, Generic[T], frozen=True, array_like=True, tag=4):
    """The result of a call, of the type that the call names."""

    number: int
    result: T


class ErrorFrame(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A call's error, as sharq_core.errors.from_code takes it."""

    number: int
    code: str
    message: str
    queue_length: int = 0
    is_away: bool = False


class Subscribe(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Tell when the next job of a type is due, now and whenever that becomes earlier. Repeated: tell it again."""

    queue_type: str


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Tell it no more."""

    queue_type: str


class Due(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """in_us: time until the next job of the type is due, negative for how long one is; None when none waits."""

    queue_type: str
    in_us: int | None


class NewView(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Who is there now."""

    view: View


class Draining(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The shard stops soon."""


class Away(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The shard leaves these partitions to others from now on, because it does not reach their store server; empty when
    it takes all of its own back. Said only to a router whose proof says that it reads this.
    """

    partitions: list[int]


class Frame(msgspec.Struct, Generic[T], frozen=True, array_like=True):
    """Entries that left together.

    Attributes:
        clock_us: the sender's monotonic clock when they left.
        entries: in order; none at all asks the shard for a sign of life, and is one.
    """

    clock_us: int
    entries: list[T]


FromRouter: TypeAlias = Proof | CallFrame[Call[Any]] | Subscribe | Unsubscribe
FromShard: TypeAlias = (
    Hello | Welcome | ReplyFrame[msgspec.Raw] | ErrorFrame | Due | NewView | Draining | Away
)

_CALLS: tuple[type[Call[Any]], ...] = tuple(Call.__subclasses__())
_AnyCall: Any = Union[_CALLS]  # noqa: UP007 - made of the list of calls
_from_router = msgspec.msgpack.Decoder(Frame[Union[Proof, CallFrame[_AnyCall], Subscribe, Unsubscribe]])  # noqa: UP007
_from_shard = msgspec.msgpack.Decoder(Frame[FromShard])
_replies: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(get_args(kind.__orig_bases__[0])[0])  # type: ignore[attr-defined] # by typing
    for kind in _CALLS
}

encode = msgspec.msgpack.Encoder().encode
"""The bytes of one entry."""


def pack(clock_us: int, entries: Iterable[bytes], count: int) -> bytes:
    """The frame of `count` encoded entries."""
    return b"".join((_HEADER.pack(_PAIR, _INT64, clock_us, _ARRAY32, count), *entries))


def decode_from_router(data: bytes) -> Frame[FromRouter]:
    """Read a frame that a router sent; raises FrameError for anything else."""
    return cast("Frame[FromRouter]", _decode(_from_router, data))


def decode_from_shard(data: bytes) -> Frame[FromShard]:
    """Read a frame that a shard sent; raises FrameError for anything else."""
    return _decode(_from_shard, data)


def decode_reply(call: type[Call[ReplyT]], result: msgspec.Raw) -> ReplyT:
    """Read the result of a call; raises FrameError when it is none."""
    return cast(ReplyT, _decode(_replies[call], result))


def prove(secret: str | None, who: bytes, shard_nonce: bytes, router_nonce: bytes) -> bytes:
    """What only an end that knows the secret can say on this connection; empty without a secret."""
    if secret is None:
        return b""
    return hmac.digest(secret.encode(), who + shard_nonce + router_nonce, "sha256")


def check_proof(
    secret: str | None, who: bytes, shard_nonce: bytes, router_nonce: bytes, proof: bytes
) -> None:
    """Raises FrameError unless the other end, `who`, has the same secret, or none as this one."""
    if hmac.compare_digest(prove(secret, who, shard_nonce, router_nonce), proof):
        return
    name = who.decode()
    if secret is None:
        raise FrameError(f"the {name} has a link secret and this end has none")
    if not proof:
        raise FrameError(f"the {name} has no link secret and this end has one")
    raise FrameError(f"the {name} has another link secret")


def check_version(version: int) -> None:
    """Raises FrameError unless the other end speaks this version."""
    if version != VERSION:
        raise FrameError(f"the other end speaks version {version} of the link, this one version {VERSION}")


def split_enqueue(call: messages.Enqueue) -> list[messages.Enqueue]:
    """The call, or the calls that do the same in order, each of one job or of what fits into a frame."""
    parts: list[list[NewJob]] = []
    room = 0
    for job in call.jobs:
        size = len(job.payload) + _JOB_ENVELOPE_BYTES
        if size > room:
            parts.append([])
            room = MAX_FRAME_BYTES
        parts[-1].append(job)
        room -= size
    return [messages.Enqueue(jobs) for jobs in parts]


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not a frame of the link: {error}") from error
