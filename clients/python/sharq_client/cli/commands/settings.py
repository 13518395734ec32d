"""Changes the settings of queues and gathered types, which last until they are cleared."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
import typer

from sharq_client.cli.commands.queues import show_queue
from sharq_client.cli.commands.setting_options import OF_BOTH, QueueOptions, SettingOptions, TypeOptions
from sharq_client.cli.commands.types import show_type
from sharq_client.cli.exits import wrong_usage
from sharq_client.cli.parameters import OptionalQueue, QueueType
from sharq_client.cli.session import Session
from sharq_client.requests import QueueSettings, TypeSettings

SettingsT = TypeVar("SettingsT", QueueSettings, TypeSettings)

ALL = "all"

_SHORT_FORMS = {"rate": "interval"}
"""Settings that are another form of one, by whose name they are cleared → this one."""


def set_(
    session: Session,
    queue_type: QueueType,
    queue_id: OptionalQueue = None,
    *,
    of_queue: QueueOptions,
    of_type: TypeOptions,
    of_both: SettingOptions,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Setting to clear, such as retry, or all. May be repeated.",
            rich_help_panel=OF_BOTH,
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
    queue_settings, type_settings = of_queue.settings(), of_type.settings()
    if queue_id is None:
        if queue_settings:
            raise wrong_usage(
                f"{', '.join(queue_settings)}: only a queue has this setting; name one after the type"
            )
        _set_type(session, queue_type, {**of_both.settings(), **type_settings}, clear or [])
        return
    if type_settings:
        raise wrong_usage(
            f"{', '.join(type_settings)}: only a gathered type has this setting; leave out QUEUE"
        )
    _set_queue(session, queue_type, queue_id, {**of_both.settings(), **queue_settings}, clear or [])


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
