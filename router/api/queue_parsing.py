"""Parses requests about queues and types into the scheduler's values, or raises an error that names the field."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from multidict import MultiMapping

from router.api.caps.values import caps_setting
from router.api.decoding import Decoder, to_us
from router.api.fields import MAX_TOP, match_queue_type
from router.api.life.values import expires_setting, fate_setting, retry_setting
from router.api.limits import rate_interval_us, read_burst
from router.api.request_shapes import (
    DeleteQueueBody,
    PageQuery,
    PauseBody,
    QueuesQuery,
    RateBody,
    SettingsBody,
    TopQuery,
)
from sharq_core.errors import InvalidRequest
from sharq_core.limits import QueueSettings
from sharq_core.top_queues import TopOrder

ValueT = TypeVar("ValueT")

DEFAULT_PAGE = 100
"""Items of a page if the request names no limit."""

_RATE = Decoder(RateBody)
_SETTINGS = Decoder(SettingsBody)
_PAUSE = Decoder(PauseBody)
_DELETE_QUEUE = Decoder(DeleteQueueBody)
_PAGE = Decoder(PageQuery)
_QUEUES = Decoder(QueuesQuery)
_TOP = Decoder(TopQuery)


class Pause(msgspec.Struct, frozen=True):
    """A pause, or the time of a hold: at most one of the two fields is set.

    Attributes:
        hold_us: the length of the hold from now.
        until_us: the end of the hold, by the store's clock.
    """

    hold_us: int | None = None
    until_us: int | None = None

    @property
    def is_hold(self) -> bool:
        """True for a hold, which ends by itself."""
        return self.hold_us is not None or self.until_us is not None


class QueuesPage(msgspec.Struct, frozen=True):
    """The part of a list of queues that a request asks for: a page, or the first queues of an order."""

    limit: int
    cursor: str | None
    by: TopOrder | None
    search: str = ""


def rate(body: bytes) -> tuple[int, float | None, bool | None]:
    """Return interval_us, burst and pin of a new rate; raise InvalidRequest if the body is wrong.

    burst and pin are None if they stay as they are.
    """
    form = _RATE.from_json(body)
    interval_us = rate_interval_us(form.interval, form.rate)
    if interval_us is None:
        raise InvalidRequest("interval: required, or rate instead")
    return interval_us, read_burst(form.burst), _given(form.pin)


def queue_settings(body: bytes) -> QueueSettings:
    """Return the change of a queue's settings; raise InvalidRequest if the body is wrong."""
    form = _SETTINGS.from_json(body)
    return QueueSettings(
        interval_us=_interval_setting(form),
        burst=None if form.burst is None else _or_unset(read_burst(form.burst)),
        pin=form.pin,
        max_leased=form.max_leased,
        weight=form.weight,
        hold_us=to_us(form.hold) if isinstance(form.hold, int | float) else form.hold,
        retry=retry_setting(form.retry),
        expires_us=expires_setting(form.expires),
        on_expiry=fate_setting(form.on_expiry),
        window=form.window,
        caps=caps_setting(form.caps),
    )


def pause(body: bytes) -> Pause:
    """Return the pause or hold of a request; raise InvalidRequest if the body is wrong."""
    if not body:
        return Pause()
    form = _PAUSE.from_json(body)
    if form.hold_for is not UNSET and form.until is not UNSET:
        raise InvalidRequest("for: expected for or until, got both for and until")
    return Pause(
        hold_us=None if isinstance(form.hold_for, UnsetType) else to_us(form.hold_for),
        until_us=None if isinstance(form.until, UnsetType) else form.until * 1000,
    )


def purge_all(body: bytes) -> bool:
    """Return whether a deletequeue also forgets the rate; raise InvalidRequest if the body is wrong."""
    return _DELETE_QUEUE.from_json(body or b"{}").purge_all


def queues(query: MultiMapping[str]) -> QueuesPage:
    """Return the requested part of a list of queues; raise InvalidRequest if the query is wrong."""
    form = _QUEUES.from_query(query)
    if form.by is UNSET:
        return QueuesPage(form.limit, _given(form.cursor), None, _given(form.search) or "")
    if form.search is not UNSET:
        raise InvalidRequest("search: expected search or by, got both search and by")
    if form.cursor is not UNSET:
        raise InvalidRequest("cursor: expected cursor or by, got both cursor and by")
    if form.limit > MAX_TOP:
        raise InvalidRequest(f"limit: expected an integer from 1 to {MAX_TOP} together with by")
    return QueuesPage(form.limit, None, TopOrder(form.by))


def types(query: MultiMapping[str]) -> tuple[int, str]:
    """Return the limit of a list of types and the name after which it begins, empty for the first page.

    Raises:
        InvalidRequest: the query is wrong.
    """
    form = _PAGE.from_query(query)
    after = _given(form.cursor) or ""
    if after and not match_queue_type(after):
        raise InvalidRequest("cursor: not a cursor that this server gave out")
    return form.limit if isinstance(form.limit, int) else DEFAULT_PAGE, after


def top(query: MultiMapping[str]) -> tuple[TopOrder, int]:
    """Return the order of the queues and their maximum number; raise InvalidRequest if the query is wrong."""
    form = _TOP.from_query(query)
    return TopOrder(form.by), form.limit


def _interval_setting(form: SettingsBody) -> int | UnsetType | None:
    """Return the interval in µs, None to clear it; UNSET if both `interval` and `rate` are absent."""
    if form.interval is not None and form.rate is not None:
        return _or_unset(rate_interval_us(form.interval, form.rate))
    if form.interval is not UNSET and form.rate is not UNSET:
        raise InvalidRequest("rate: expected rate or interval, got both rate and interval")
    return None


def _or_unset(value: ValueT | None) -> ValueT | UnsetType:
    return UNSET if value is None else value


def _given(value: ValueT | UnsetType) -> ValueT | None:
    return None if isinstance(value, UnsetType) else value
