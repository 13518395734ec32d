"""Decodes the small answers of the server, and those that more than one module reads."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from sharq_client.answers import Counts, DeadLetter, Enqueued, JobStatus, LeasedJob, QueueStats

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class AnswerDecoder(Protocol[AnswerT_co]):
    """The interface of a decoder of the content of answers, such as msgspec.json.Decoder."""

    def decode(self, content: bytes, /) -> AnswerT_co:
        """Return the answer. Raise ValueError or RecursionError if the content is none."""
        ...


class _Text:
    """A decoder of answers that are text for people or for other programs."""

    def decode(self, content: bytes, /) -> str:
        """Return the text."""
        return content.decode(errors="replace")


TEXT = _Text()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, with what every list has.

    Attributes:
        cursor: the cursor of the next page; None for the last one.
        unread_partitions: the partitions that the page is without, because their data is broken.
    """

    cursor: str | None = None
    unread_partitions: list[int] = []


class SmallAnswer(msgspec.Struct, frozen=True):
    """The fields of the small answers together. Each call reads the one field that it needs."""

    status: str = ""
    lease_expires_at: int = 0
    redriven: int = 0
    dropped: int = 0
    cancelled: int = 0
    queues: int = 0
    result_kept: bool | None = None
    warning: str = ""


class _Ids(Page, frozen=True, kw_only=True):
    queue_ids: list[str]


class _DeadPage(Page, frozen=True, kw_only=True):
    jobs: list[DeadLetter]


ENQUEUED = msgspec.json.Decoder(Enqueued)
QUEUE = msgspec.json.Decoder(QueueStats)
COUNTS = msgspec.json.Decoder(Counts)
QUEUE_IDS = msgspec.json.Decoder(_Ids)
DEAD_LETTERS = msgspec.json.Decoder(_DeadPage)


class LeasedJobs(list[LeasedJob]):
    """The jobs of one dequeue. If there are none, it has the reason.

    Attributes:
        blocked_by: the reason why no job is ready, such as "rate" or "paused"; None if there are jobs, or if the server
            does not tell.
        next_ready_in: the time in ms until that ends; None if it is not known.
    """

    blocked_by: str | None = None
    next_ready_in: float | None = None


class _LeasedAnswer(msgspec.Struct, frozen=True):
    jobs: list[LeasedJob]


LEASED = msgspec.json.Decoder(_LeasedAnswer)
"""The answer to a dequeue. Its jobs have their types only if the request named several."""

JOB = msgspec.json.Decoder(JobStatus)
"""The answer to the question about one job, and to its change."""

SMALL_ANSWER = msgspec.json.Decoder(SmallAnswer)
