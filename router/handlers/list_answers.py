"""Makes the answers of lists: whole if they are short, streamed if they are long."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from router.http.response import Response
from router.http.streamed_response import StreamedAnswer
from router.http.unread_answers import PIECE_BYTES

encode = msgspec.json.Encoder().encode


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
    name: str, pages: AsyncIterator[Sequence[Any]], end: Callable[[], dict[str, Any]]
) -> AsyncGenerator[bytes]:
    """Yield the body of a list: the status, the items of all pages as the field `name`, and the last fields.

    Args:
        end: returns the last fields; it is called after the last page.
    """
    yield b'{"status":"success","%b":[' % name.encode()
    separator = b""
    async for page in pages:
        if page:
            yield separator + encode(page)[1:-1]
            separator = b","
    yield b"]" + b"".join(b",%b:%b" % (encode(key), encode(value)) for key, value in end().items()) + b"}"
