"""Makes the TLS contexts of the servers and the links from files, and reloads their certificates."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from msgspec import Struct

from sharq_core.config import ClusterSettings, ServerSettings
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError
from sharq_core.logs.advice import LINKS, ConnectionSettings, with_advice
from sharq_core.logs.rare_log import REFUSAL_EVERY_S, RareLog
from sharq_core.logs.reasons import why_tls_failed
from sharq_core.process.file_reload import follow_files

log = logging.getLogger(__name__)


class TlsFiles(Struct, frozen=True, kw_only=True):
    """A certificate with its chain, its key and the trusted authorities; all in PEM form.

    Attributes:
        setting: the settings that name the files, for errors.
        ca: the authorities that sign the peer's certificate; None asks the peer for no certificate.
        advice: the settings that the reasons of failed handshakes name; None for none.
    """

    setting: str
    cert: Path
    key: Path
    ca: Path | None = None
    advice: ConnectionSettings | None = None


def link_tls_files(cluster: ClusterSettings) -> TlsFiles | None:
    """Return the files of the link, the same at both ends; None for plain links."""
    if cluster.link_tls_cert is None or cluster.link_tls_key is None:
        return None
    return TlsFiles(
        setting="[cluster] link_tls_cert, link_tls_key, link_tls_ca",
        cert=cluster.link_tls_cert,
        key=cluster.link_tls_key,
        ca=cluster.link_tls_ca,
        advice=LINKS,
    )


def api_tls_files(server: ServerSettings) -> TlsFiles | None:
    """Return the files of the API; None for plain HTTP."""
    if server.tls_cert is None or server.tls_key is None:
        return None
    return TlsFiles(setting="[sharq-server] tls_cert, tls_key", cert=server.tls_cert, key=server.tls_key)


def server_context(files: TlsFiles, on_refusal: Callable[[str], None] = lambda _: None) -> ssl.SSLContext:
    """Return a context for a server.

    With a ca, a client's certificate is checked if there is one. The caller must insist on one.

    Args:
        on_refusal: called with the reason of each failed handshake.

    Raises:
        ConfigError: the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _telling(files, on_refusal)
    _load(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for a client that presents its own certificate.

    It trusts every certificate of the ca, for any name.

    Raises:
        ConfigError: the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _load(context, files)
    return context


def kept_context(
    stack: AsyncExitStack, files: TlsFiles | None, make: Callable[[TlsFiles], ssl.SSLContext]
) -> ssl.SSLContext | None:
    """Return make(files), and reload its certificate when the files change, until the stack's end; None for no files.

    Raises:
        ConfigError: the files cannot be used.
    """
    if files is None:
        return None
    context = make(files)
    follow_files(stack, [files.cert, files.key], partial(take_anew, context, files))
    return context


def _telling(files: TlsFiles, on_refusal: Callable[[str], None]) -> type[ssl.SSLObject]:
    """Return a connection class that logs failed handshakes, once in 30 s for each reason.

    The event loop closes such a connection silently, because failed handshakes are normal for a server on the Internet.
    """
    refusals = RareLog(log, REFUSAL_EVERY_S)

    def tell(reason: str) -> None:
        why = f"a client failed to connect: {reason}"
        why = why if files.advice is None else with_advice(why, files.advice)
        refusals.warning("tls_refused setting=%r reason=%r", files.setting, why, kind=reason)
        on_refusal(why)

    class Telling(ssl.SSLObject):
        _steps = 0
        """The handshake steps begun; -1 once it has ended. The first step precedes the client's first message."""

        def do_handshake(self) -> None:
            self._steps += 1
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                self._steps = -1
                tell(why_tls_failed(error))
                raise
            self._steps = -1

        def __del__(self) -> None:
            """Report a client that left during the handshake.

            Clients that reject the certificate send no alert, asyncio's included.
            """
            if self._steps > 1:
                tell("it left during the handshake; it probably does not accept this end's certificate")

    return Telling


def take_anew(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the current certificate for new connections; the ca stays.

    Raises:
        ConfigError: the files cannot be used; the context is unchanged.
    """
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
    context.load_cert_chain(files.cert, files.key, password="")


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the files into a context.

    The password is empty, so that an encrypted key is refused instead of asked for on the terminal.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        for path in filter(None, (files.cert, files.key, files.ca)):
            path.open("rb").close()
        context.load_cert_chain(files.cert, files.key, password="")
        if files.ca is not None:
            context.load_verify_locations(files.ca)
    except ssl.SSLError as error:
        named = ", ".join(shown_path(path) for path in (files.cert, files.key, files.ca) if path is not None)
        raise ConfigError(f"{files.setting}: {named} cannot be used: {error.reason or error}") from error
    except OSError as error:
        named = shown_path(Path(error.filename or ""))
        raise ConfigError(f"{files.setting}: {named} cannot be read: {error.strerror}") from None
