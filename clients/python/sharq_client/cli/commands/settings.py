"""Changes the settings of queues and gathered types, which last until they are cleared."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
import typer

from sharq_client.cli.commands.queues import show_queue
from sharq_client.cli.commands.setting_texts import limit_of, quota_of, retry_of
from sharq_client.cli.commands.types import show_type
from sharq_client.cli.exits import wrong_usage
from sharq_client.cli.parameters import OptionalQueue, QueueType, flags, read, read_duration
from sharq_client.cli.session import Session
from sharq_client.requests import OnExpiry, QueueSettings, TypeSettings

SettingsT = TypeVar("SettingsT", QueueSettings, TypeSettings)

_OF_QUEUE = "Settings of a queue"
_OF_TYPE = "Settings of a gathered type"
_OF_BOTH = "Settings of both"

ALL = "all"

_SHORT_FORMS = {"rate": "interval"}
"""Settings that are another form of one, by whose name they are cleared → this one."""


def set_(
    session: Session,
    queue_type: QueueType,
    queue_id: OptionalQueue = None,
    *,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Such as 40/s.", rich_help_panel=_OF_QUEUE)
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Least time between leases, instead of --rate.",
            rich_help_panel=_OF_QUEUE,
        ),
    ] = None,
    burst: Annotated[
        float | None, typer.Option(help="Most leases back to back.", rich_help_panel=_OF_QUEUE)
    ] = None,
    weight: Annotated[
        int | None, typer.Option(help="Jobs in its turn among its type, 1 to 100.", rich_help_panel=_OF_QUEUE)
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin", help="Keep enqueues from changing the rate.", rich_help_panel=_OF_QUEUE
        ),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Cap that it shares with other queues. Up to three, which replace the present ones.",
            rich_help_panel=_OF_QUEUE,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help="Shared rate, such as 40/s or 900/min,burst=5,unit=cost. Up to three, which replace the present ones.",
            rich_help_panel=_OF_TYPE,
        ),
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUOTA",
            help="Such as 2000/day@Asia/Tokyo or 500/hour,unit=cost. Up to three, which replace the present ones.",
            rich_help_panel=_OF_TYPE,
        ),
    ] = None,
    max_leased: Annotated[
        int | None, typer.Option(help="Most leased jobs at a time.", rich_help_panel=_OF_BOTH)
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Hand out nothing for this time.", rich_help_panel=_OF_BOTH),
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="RETRY",
            help="Wait after a failed attempt, such as 30s or 30s,factor=3,max=1h,jitter=0.2.",
            rich_help_panel=_OF_BOTH,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Age at which due jobs expire.", rich_help_panel=_OF_BOTH),
    ] = None,
    on_expiry: Annotated[
        OnExpiry | None, typer.Option(help="Fate of expired jobs.", rich_help_panel=_OF_BOTH)
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Window outside of which nothing leaves.", rich_help_panel=_OF_BOTH
        ),
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Setting to clear, such as retry, or all. May be repeated.",
            rich_help_panel=_OF_BOTH,
        ),
    ] = None,
) -> None:
    """Change settings of a queue or of a gathered type.

    Without QUEUE they are those of a gathered type, one with a ~ in its name, and hold for all of its queues together.
    A setting lasts until it is cleared, and no enqueue changes it. What is not given stays as it is. A queue is created
    if need be.

    Examples:
      sharq set sms acme --rate 40/s --max-leased 20 --weight 3
      sharq set sms acme --retry 30s,factor=3,max=1h --window paris-days
      sharq set sms acme --cap acct17 --cap brand3
      sharq set sms~skytel --limit 40/s --quota 2000/day@Asia/Tokyo --max-leased 100
      sharq set sms~skytel --clear quotas --clear max_leased
    """
    of_both = flags(
        max_leased=max_leased,
        hold=read_duration("--hold", hold),
        retry=None if retry is None else read("--retry", retry_of, retry),
        expires=read_duration("--expires", expires),
        on_expiry=on_expiry,
        window=window,
    )
    of_queue = flags(
        rate=rate,
        interval=read_duration("--interval", interval),
        burst=burst,
        weight=weight,
        pin=pin,
        caps=cap or None,
    )
    of_type = flags(
        limits=[read("--limit", limit_of, text) for text in limit or ()] or None,
        quotas=[read("--quota", quota_of, text) for text in quota or ()] or None,
    )
    if queue_id is None:
        if of_queue:
            raise wrong_usage(
                f"{', '.join(of_queue)}: only a queue has this setting; name one after the type"
            )
        _set_type(session, queue_type, {**of_both, **of_type}, clear or [])
        return
    if of_type:
        raise wrong_usage(f"{', '.join(of_type)}: only a gathered type has this setting; leave out QUEUE")
    _set_queue(session, queue_type, queue_id, {**of_both, **of_queue}, clear or [])


def _set_queue(
    session: Session, queue_type: str, queue_id: str, values: dict[str, Any], clear: list[str]
) -> None:
    settings = _settings(QueueSettings, values, clear)
    with session.client() as client:
        stats = client.control.set_queue(queue_type, queue_id, settings)
    if session.output.is_json:
        session.output.document(stats)
        return
    show_queue(session, queue_type, queue_id, stats)


def _set_type(session: Session, queue_type: str, values: dict[str, Any], clear: list[str]) -> None:
    settings = _settings(TypeSettings, values, clear)
    with session.client() as client:
        stats = client.control.set_type(queue_type, settings)
    if session.output.is_json:
        session.output.document(stats)
        return
    show_type(session, queue_type, stats)


def _settings(kind: type[SettingsT], values: dict[str, Any], clear: list[str]) -> SettingsT:
    """Return the change of settings: values that are set, and those to clear as None.

    Raises:
        ValueError: nothing is to be changed, a setting to clear does not exist, or one is set, too.
    """
    names: list[str] = [field.name for field in msgspec.structs.fields(kind)]
    cleared = [name.replace("-", "_") for name in clear]
    if ALL in cleared:
        kept = {*values, *_SHORT_FORMS, *(other for name, other in _SHORT_FORMS.items() if name in values)}
        cleared = [name for name in names if name not in kept]
    for name in cleared:
        if name not in names:
            raise ValueError(f"--clear: expected one of {', '.join([*names, ALL])}, got {name!r}")
        if name in values:
            raise ValueError(f"--clear {name}: the same call sets {name}")
    if not values and not cleared:
        raise ValueError("expected at least one setting to change; sharq set --help lists them")
    return kind(**values, **dict.fromkeys(cleared))
