"""Makes the answers of lists: whole if they are short, streamed if they are long."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from router.http.response import Response
from router.http.streamed_response import StreamedAnswer
from router.http.unread_answers import PIECE_BYTES
from router.shards.walks.unread import Unread

encode = msgspec.json.Encoder().encode

MAX_LIST_BYTES = 8 << 20
"""Size at which a list ends with a cursor, as a dequeue does; it may be exceeded by one page."""


async def list_answer(pieces: AsyncGenerator[bytes]) -> Response:
    """Return the answer whose body consists of pieces. It is streamed if the body exceeds PIECE_BYTES.

    Raises:
        SharqError: one of the first pieces could not be made.
    """
    made: list[bytes] = []
    size = 0
    async for piece in pieces:
        made.append(piece)
        size += len(piece)
        if size > PIECE_BYTES:
            return StreamedAnswer(b"".join(made), pieces)
    return Response(b"".join(made))


async def list_pieces(
    name: str,
    pages: AsyncIterator[Sequence[Any]],
    end: Callable[[], dict[str, Any]],
    max_bytes: int | None = MAX_LIST_BYTES,
) -> AsyncGenerator[bytes]:
    """Yield the body of a list: the status, the items of the pages as the field `name`, and the last fields.

    Args:
        end: returns the last fields; it is called after the last page.
        max_bytes: the size after which no further page is read; None for no bound.
    """
    yield b'{"status":"success","%b":[' % name.encode()
    separator = b""
    size = 0
    async for page in pages:
        if page:
            items = encode(page)[1:-1]
            yield separator + items
            separator = b","
            size += len(items)
            if max_bytes is not None and size >= max_bytes:
                break
    yield b"]" + b"".join(b",%b:%b" % (encode(key), encode(value)) for key, value in end().items()) + b"}"


def end_of(cursor: str | None, unread: Unread) -> dict[str, Any]:
    """Return the last fields of a list: its cursor, and the partitions that it left out, if there are any."""
    return {"cursor": cursor} | unread_fields(unread)


def unread_fields(unread: Unread) -> dict[str, list[int]]:
    """Return the field of an answer that names the partitions that it left out; nothing if there are none."""
    return {"unread_partitions": unread.partitions} if unread.partitions else {}
