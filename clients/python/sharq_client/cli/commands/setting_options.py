"""Defines the options of `sharq set`: settings of a queue, of a gathered type, and of both."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from sharq_client.cli.commands.setting_texts import limit_of, quota_of, retry_of
from sharq_client.cli.parameters import flags, read, read_duration
from sharq_client.requests import OnExpiry

OF_BOTH = "Settings of both"
_OF_QUEUE = "Settings of a queue"
_OF_TYPE = "Settings of a gathered type"


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that only a queue has."""

    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Such as 40/s.", rich_help_panel=_OF_QUEUE)
    ] = None
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Least time between leases, instead of --rate.",
            rich_help_panel=_OF_QUEUE,
        ),
    ] = None
    burst: Annotated[
        float | None, typer.Option(help="Most leases back to back.", rich_help_panel=_OF_QUEUE)
    ] = None
    weight: Annotated[
        int | None, typer.Option(help="Jobs in its turn among its type, 1 to 100.", rich_help_panel=_OF_QUEUE)
    ] = None
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin", help="Keep enqueues from changing the rate.", rich_help_panel=_OF_QUEUE
        ),
    ] = None
    cap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Cap that it shares with other queues. Up to three, which replace the present ones.",
            rich_help_panel=_OF_QUEUE,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that were given, as QueueSettings names them; raise ValueError if one cannot be read."""
        return flags(
            rate=self.rate,
            interval=read_duration("--interval", self.interval),
            burst=self.burst,
            weight=self.weight,
            pin=self.pin,
            caps=self.cap or None,
        )


class TypeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that only a gathered type has."""

    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help="Shared rate, such as 40/s or 900/min,burst=5,unit=cost. Up to three, which replace the present ones.",
            rich_help_panel=_OF_TYPE,
        ),
    ] = None
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUOTA",
            help="Such as 2000/day@Asia/Tokyo or 500/hour,unit=cost. Up to three, which replace the present ones.",
            rich_help_panel=_OF_TYPE,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that were given, as TypeSettings names them; raise ValueError if one cannot be read."""
        return flags(
            limits=[read("--limit", limit_of, text) for text in self.limit or ()] or None,
            quotas=[read("--quota", quota_of, text) for text in self.quota or ()] or None,
        )


class SettingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that queues and gathered types have."""

    max_leased: Annotated[
        int | None, typer.Option(help="Most leased jobs at a time.", rich_help_panel=OF_BOTH)
    ] = None
    hold: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Hand out nothing for this time.", rich_help_panel=OF_BOTH),
    ] = None
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="RETRY",
            help="Wait after a failed attempt, such as 30s or 30s,factor=3,max=1h,jitter=0.2.",
            rich_help_panel=OF_BOTH,
        ),
    ] = None
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Age at which due jobs expire.", rich_help_panel=OF_BOTH),
    ] = None
    on_expiry: Annotated[
        OnExpiry | None, typer.Option(help="Fate of expired jobs.", rich_help_panel=OF_BOTH)
    ] = None
    window: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Window outside of which nothing leaves.", rich_help_panel=OF_BOTH),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that were given, as both name them; raise ValueError if one cannot be read."""
        return flags(
            max_leased=self.max_leased,
            hold=read_duration("--hold", self.hold),
            retry=None if self.retry is None else read("--retry", retry_of, self.retry),
            expires=read_duration("--expires", self.expires),
            on_expiry=self.on_expiry,
            window=self.window,
        )
