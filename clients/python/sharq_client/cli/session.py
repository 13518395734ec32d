"""Finds out which server a command talks to, and opens the client for it.

Each setting comes from the option of the command, then from the profile that `--profile` names, then from SHARQ_URL and
SHARQ_TOKEN, then from the profile of SHARQ_PROFILE or the default profile of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharq_client import environment
from sharq_client.cli.output import Output

if TYPE_CHECKING:
    from sharq_client.sync.client import Client


class Session:
    """The server that a command talks to, and the output that it writes to.

    Attributes:
        urls: the URLs of the server or of several routers.
        output: the writer of results.
        is_debug: True if errors come with a traceback.
    """

    def __init__(
        self,
        *,
        urls: list[str],
        token: str | None,
        ca: str | None,
        timeout_s: float,
        output: Output,
        is_debug: bool,
    ) -> None:
        self.urls = urls
        self.token = token
        self.ca = ca
        self.timeout_s = timeout_s
        self.output = output
        self.is_debug = is_debug

    @property
    def url(self) -> str:
        """The URLs as one text, for messages."""
        return " ".join(self.urls)

    def client(self, *, retries: int = 0) -> Client:
        """Return a client of the server. Use it in a `with` statement.

        Args:
            retries: the number of retries of a call. People do not wait; what runs unattended needs some.
        """
        from sharq_client.sync.client import Client  # noqa: PLC0415 - loads the HTTP library, which --help needs not

        return Client(self.urls, token=self.token, timeout_s=self.timeout_s, retries=retries, ca=self.ca)


def open_session(
    *,
    url: str | None,
    token: str | None,
    ca: str | None,
    timeout_s: float,
    is_json: bool,
    is_debug: bool,
) -> Session:
    """Return the session for the options of a command. None stands for an option that was not given."""
    return Session(
        urls=url.split() if url else environment.urls(),
        token=token or environment.token(),
        ca=ca,
        timeout_s=timeout_s,
        output=Output(is_json=is_json),
        is_debug=is_debug,
    )
