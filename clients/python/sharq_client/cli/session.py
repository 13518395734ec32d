"""Finds out which server a command talks to, and opens the client for it.

Each setting comes from the option of the command, then from the profile that `--profile` names, then from SHARQ_URL and
SHARQ_TOKEN, then from the profile of SHARQ_PROFILE or the default profile of the file. A token of a profile is sent to
the URL of that profile only, unless `--profile` names it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from sharq_client import environment
from sharq_client.cli.help import SHARED
from sharq_client.cli.output import Output
from sharq_client.cli.profiles import Profile, find_profile
from sharq_client.cli.times import duration_ms

if TYPE_CHECKING:
    from sharq_client.sync.client import Client

DEFAULT_TIMEOUT = "10s"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options that the program and every command have, as they were given; None for one that was not."""

    url: Annotated[
        str | None,
        typer.Option(
            help="URL of the server, or several of one cluster with spaces between them.",
            metavar="URL",
            rich_help_panel=SHARED,
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            help="Bearer token. Others on this machine can see options, but not SHARQ_TOKEN.",
            metavar="TOKEN",
            rich_help_panel=SHARED,
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(help="Name of a server in profiles.toml.", metavar="NAME", rich_help_panel=SHARED),
    ] = None
    ca: Annotated[
        str | None,
        typer.Option(help="File with the certificates to trust.", metavar="FILE", rich_help_panel=SHARED),
    ] = None
    timeout: Annotated[
        str | None,
        typer.Option(
            help=f"Longest wait for an answer, {DEFAULT_TIMEOUT} by default.",
            metavar="DURATION",
            rich_help_panel=SHARED,
        ),
    ] = None
    is_json: Annotated[
        bool,
        typer.Option("--json", help="Write JSON for scripts instead of text.", rich_help_panel=SHARED),
    ] = False
    is_debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=SHARED)
    ] = False

    def over(self, outer: Options) -> Options:
        """Return these options, with those of `outer`, which stand before the command, in place of absent ones."""
        return Options(
            url=self.url or outer.url,
            token=self.token or outer.token,
            profile=self.profile or outer.profile,
            ca=self.ca or outer.ca,
            timeout=self.timeout or outer.timeout,
            is_json=self.is_json or outer.is_json,
            is_debug=self.is_debug or outer.is_debug,
        )


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The server that a command talks to, and the output that it writes to.

    Attributes:
        urls: the URLs of the server or of several routers.
        ca: the file with the certificates to trust; None for those of the system.
        timeout_s: the longest wait for an answer.
        output: the writer of results.
    """

    urls: list[str]
    token: str | None
    ca: str | None
    timeout_s: float
    output: Output

    @property
    def url(self) -> str:
        """The URLs as one text, for messages."""
        return " ".join(self.urls)

    def client(self, *, retries: int = 0) -> Client:
        """Return a client of the server. Use it in a `with` statement.

        Args:
            retries: the number of retries of a call. People want to know at once; what runs unattended needs some.
        """
        from sharq_client.sync.client import Client  # noqa: PLC0415 - help does without the HTTP library

        return Client(self.urls, token=self.token, timeout_s=self.timeout_s, retries=retries, ca=self.ca)


def open_session(options: Options) -> Session:
    """Return the session for the options of a command.

    Raises:
        Failed: the profile does not exist, or its file is wrong.
        ValueError: the timeout is no duration.
    """
    named = find_profile(options.profile) if options.profile else None
    has_url = bool(options.url or os.environ.get("SHARQ_URL"))
    fallback = named or (None if has_url else find_profile(os.environ.get("SHARQ_PROFILE"))) or Profile()
    chosen = named or Profile()
    ca = options.ca or fallback.ca
    return Session(
        urls=(options.url or "").split() or chosen.urls or _environment_urls(fallback),
        token=options.token or chosen.secret() or environment.default_token() or fallback.secret(),
        ca=None if ca is None else str(Path(ca).expanduser()),
        timeout_s=duration_ms(options.timeout or fallback.timeout or DEFAULT_TIMEOUT) / 1000,
        output=Output(is_json=options.is_json),
    )


def _environment_urls(profile: Profile) -> list[str]:
    """Return the URLs of SHARQ_URL, or those of the profile if it is not set, or the default."""
    return profile.urls if profile.urls and not os.environ.get("SHARQ_URL") else environment.default_urls()
