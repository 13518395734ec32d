"""Turns failures on the wire into the error classes of sharq_client.errors, and decides on retries.

The rule of retries uses two attributes of the class: `retry_after_s` (a retry can help) and `perhaps_done`.
"""

from __future__ import annotations

import random
import socket
import ssl
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from sharq_client import errors

_CODE_OF_STATUS = {
    401: errors.Unauthorized.code,
    403: errors.Forbidden.code,
    408: errors.TooSlow.code,
    413: errors.TooLarge.code,
    415: errors.UnsupportedEncoding.code,
    429: errors.Overloaded.code,
    503: errors.Unavailable.code,
}
"""The error code for a status without the API's JSON, as a proxy sends it."""


_OF_OTHER_SERVERS = frozenset([400, 404, 405, 410, 411, 501])
"""Statuses that say that the request itself does not suit, from a server whose failures are not those of the API."""

NO_SUCH_PATH = "no such path"
"""The message of the server's 404 for a path that it does not have."""

_UNKNOWN_AUTHORITY = (
    'the server\'s certificate is signed by an authority that is not trusted: pass its file as ca="ca.pem"'
)
_OTHER_HOST = "the server's certificate is for another host: use a name that is in the certificate"
_CERTIFICATE_ADVICE = {
    9: "the server's certificate is not valid yet: check the clocks",
    10: "the server's certificate has expired: renew it",
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
"""The advice for OpenSSL's codes of certificates that are refused: X509_V_ERR_CERT_NOT_YET_VALID and so on."""

_REASONS_WITHOUT_TLS = frozenset(["WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"])
"""OpenSSL's reasons for a handshake in which the other side sent something else than TLS."""


class NothingReady(errors.NotFound):
    """The error of a dequeue that found no ready job (404 without a code). Nothing was done.

    Attributes:
        blocked_by: the reason of the queue that comes first; None if the server does not tell one.
        next_ready_in: the time in ms until that ends; None if it is not known.
    """

    def __init__(self, blocked_by: str | None, next_ready_in: float | None) -> None:
        super().__init__("nothing is ready")
        self.blocked_by = blocked_by
        self.next_ready_in = next_ready_in


class Failure(msgspec.Struct, frozen=True):
    """A failure as the API sends it. The code is empty if a dequeue found no ready job."""

    status: Literal["failure"]
    code: str = ""
    message: str = ""
    queue_length: int = msgspec.field(default=0, name="current_queue_length")
    blocked_by: str | None = None
    next_ready_in: float | None = None


def to_error(failure: Failure) -> errors.SharqError:
    """Return the error for the server's error code."""
    return errors.from_code(failure.code, failure.message, failure.queue_length)


def from_answer(status: int, body: bytes, url: str) -> errors.SharqError:
    """Return the error for a response that is no success, from the server or a proxy.

    Args:
        url: the URL of the request, for the message.
    """
    if status < 400:
        return errors.WrongUrl(f"{url} leads to another place (status {status}): use the URL of that place")
    try:
        failure = msgspec.json.decode(body, type=Failure)
    except (ValueError, RecursionError):  # no JSON, not in UTF-8, or nested without end
        return _of_other_server(status, url)
    if status == NothingReady.status and not failure.code:
        return NothingReady(failure.blocked_by, failure.next_ready_in)
    if failure.message == NO_SUCH_PATH:
        return errors.WrongUrl(
            f"the server has no {url}: leave away the path in the URL of the client, or upgrade the server"
        )
    if failure.code == errors.Unauthorized.code:
        return errors.Unauthorized(f"{failure.message} (pass token=, or set the variable SHARQ_TOKEN)")
    return to_error(failure)


def _of_other_server(status: int, url: str) -> errors.SharqError:
    if status in _OF_OTHER_SERVERS:
        return errors.WrongUrl(f"{url} was answered {status}, but not by a SHARQ server: check the URL")
    unknown = errors.InvalidRequest.code if status < 500 else errors.OutcomeUnknown.code
    return errors.from_code(_CODE_OF_STATUS.get(status, unknown), f"answered {status} without a reason")


def from_content(status: int, body: bytes, url: str, fault: Exception) -> errors.SharqError:
    """Return the error for an answer of success whose content is not what the API answers."""
    if body.lstrip()[:1] == b"<":
        return errors.WrongUrl(f"{url} was answered with a web page, not by a SHARQ server: check the URL")
    return errors.OutcomeUnknown(f"answered {status} with an invalid body ({fault})")


def origin_of(url: str) -> str:
    """Return the scheme, host and port of a URL: "http://127.0.0.1:8080"."""
    return url[:end] if (end := url.find("/", len("https://"))) > 0 else url


def not_connected(origin: str, fault: BaseException) -> errors.SharqError:
    """Return the error for a connection that was not made. Nothing was done.

    Args:
        fault: the error of the socket.
    """
    host = urlsplit(origin).hostname
    if isinstance(fault, socket.gaierror) and fault.errno != socket.EAI_AGAIN:
        return errors.UnknownHost(f"{origin}: there is no host {host}: check the URL ({fault.strerror})")
    if isinstance(fault, ssl.SSLCertVerificationError):
        advice = _CERTIFICATE_ADVICE.get(fault.verify_code, _UNKNOWN_AUTHORITY)
        return errors.UntrustedCertificate(f"{origin}: {advice} ({fault.verify_message})")
    if isinstance(fault, ssl.SSLError) and fault.reason in _REASONS_WITHOUT_TLS:
        return errors.WrongUrl(f"{origin}: the server does not speak TLS: write http:// instead of https://")
    if isinstance(fault, ConnectionRefusedError):
        return errors.Unavailable(
            f"{origin}: nothing listens there: is the server running? (connection refused)"
        )
    return errors.Unavailable(f"{origin}: no connection was made ({reason_of(fault)})")


def not_answered(origin: str, fault: BaseException) -> errors.OutcomeUnknown:
    """Return the error for a request that was sent, or was perhaps sent, without an answer."""
    return errors.OutcomeUnknown(f"{origin}: sent, and no answer came ({reason_of(fault)})")


def not_readable(origin: str, reason: str) -> errors.OutcomeUnknown:
    """Return the error for an answer whose head or framing cannot be read. The request was perhaps carried out."""
    first = reason.partition("\n")[0].rstrip(":")
    return errors.OutcomeUnknown(f"{origin}: answered, but the answer is not valid HTTP ({first})")


def no_http(origin: str, *, speaks_tls: bool) -> errors.WrongUrl:
    """Return the error for a server that does not speak HTTP without TLS there. Nothing was done."""
    if speaks_tls:
        return errors.WrongUrl(f"{origin}: the server speaks TLS: write https:// instead of http://")
    return errors.WrongUrl(f"{origin}: what listens there does not speak HTTP: check the URL")


def reason_of(fault: BaseException) -> str:
    """Return the name and the text of an error of a library."""
    return f"{type(fault).__name__}: {fault}".removesuffix(": ")


def may_repeat(error: errors.SharqError, *, is_safe_twice: bool) -> bool:
    """Return True if a retry can help and is safe: the call is idempotent, or was certainly not done.

    A host that is not known is most often a mistake in the URL, so that is raised at once.
    """
    if isinstance(error, errors.UnknownHost):
        return False
    return error.retry_after_s is not None and (is_safe_twice or not error.perhaps_done)


def pause_s(error: errors.SharqError, tries: int) -> float:
    """Return the pause in seconds after `tries` (1 or more) failed tries. It doubles from Retry-After to 8 times that.

    A random factor from 1.0 to 1.5 keeps clients that failed together from retrying together.
    """
    return (error.retry_after_s or 1) * min(2.0 ** (tries - 1), 8.0) * random.uniform(1.0, 1.5)
