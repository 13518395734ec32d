"""`sharq` when something is wrong: each mistake has its exit code and a message that says what to do."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router.access.token_file import new_token
from sharq_client import Client, EnqueueJob
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.stopwatch import Stopwatch
from tests.support.stores.groups import make_certificates

DEADLINE_S = 30.0


class Stranger:
    """Something else that listens where a SHARQ server should: it answers every request with the same bytes."""

    def __init__(self, answer: bytes | None) -> None:
        """Listen on a free port.

        Args:
            answer: the bytes; b"" to close the connection, and None to never answer.
        """
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.has_request = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in [self._socket, *self._open]:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            connection.recv(65_536)
            self.has_request.set()
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.close()


@contextmanager
def stranger(answer: bytes | None) -> Iterator[Stranger]:
    listening = Stranger(answer)
    try:
        yield listening
    finally:
        listening.close()


@pytest.fixture
def sharq(server: SharqServer) -> Sharq:
    return Sharq(server.url)


def test_nothing_listens_at_the_url() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    failed = Sharq(url)("types", code=4)
    assert failed.err == (
        f"sharq: cannot reach {url}: Connection refused. Nothing was done. "
        "Is the server running there? Set --url, SHARQ_URL or --profile\n"
    )


def test_host_that_nobody_knows() -> None:
    assert "http://nobody.invalid:8080" in Sharq("http://nobody.invalid:8080")("types", code=4).err


def test_one_of_several_routers_is_enough(server: SharqServer) -> None:
    assert Sharq(f"http://127.0.0.1:{free_port()} {server.url}")("types", "--json").err == ""


@pytest.mark.parametrize("url", ["localhost:8080", "htp://localhost", "http://"])
def test_url_that_is_none_is_wrong_usage(sharq: Sharq, url: str) -> None:
    failed = sharq("types", "--url", url, code=2)
    assert failed.err.startswith("sharq: url: expected http://host:port or https://host:port, got ")


def test_https_to_a_server_that_speaks_http(server: SharqServer) -> None:
    url = server.url.replace("http:", "https:")
    failed = Sharq(url)("types", code=4)
    assert failed.err == f"sharq: {url}: the server does not speak TLS: write http:// instead of https://\n"


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_web_page_instead_of_a_server_is_a_wrong_url(status: bytes) -> None:
    page = b"<html>Welcome</html>"
    with stranger(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(page), page)) as other:
        assert f"{other.url}/types/" in Sharq(other.url)("types", code=4).err
        assert "not by a SHARQ server: check the URL" in Sharq(other.url)("queue", "sms", "acme", code=4).err


def test_server_that_closes_the_connection_leaves_the_outcome_unknown() -> None:
    with stranger(b"") as other:
        failed = Sharq(other.url)("pause", "sms", code=5)
        assert failed.err.startswith(f"sharq: {other.url}: ")
        assert failed.err.endswith(". If the command changes something, it was perhaps done\n")


def test_server_that_is_silent_is_given_up_after_the_timeout(stopwatch: Stopwatch) -> None:
    with stranger(None) as other:
        stopwatch.start()
        Sharq(other.url)("types", "--timeout", "300ms", code=5)
        assert stopwatch.elapsed_s > 0.2
        stopwatch.assert_within(10)


def test_timeout_without_a_unit_is_wrong_usage(sharq: Sharq) -> None:
    assert "expected a duration with its unit" in sharq("types", "--timeout", "3", code=2).err


def test_unavailable_server_says_that_nothing_was_done() -> None:
    body = b'{"status":"failure","code":"unavailable","message":"the store is unreachable"}'
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\nRetry-After: 1\r\n\r\n" % len(body)
    with stranger(head + body) as other:
        message = f"sharq: {other.url}: the store is unreachable. Nothing was done; try again later\n"
        assert Sharq(other.url)("pause", "sms", code=4).err == message


def test_message_of_a_server_cannot_steer_the_terminal() -> None:
    body = b'{"status":"failure","code":"invalid_request","message":"\\u001b[2Jgone"}'
    with stranger(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as other:
        assert Sharq(other.url)("types", code=2).err == "sharq: \\x1b[2Jgone\n"


def test_wrong_token_and_wrong_certificate_are_named_with_what_to_set(tmp_path: Path) -> None:
    token, line = new_token("operator")
    files = make_certificates(tmp_path / "made")
    (tmp_path / "tokens").write_text(f"{line}\n")
    environ = {
        "SHARQ_AUTH_TOKENS_FILE": str(tmp_path / "tokens"),
        "SHARQ_SERVER_TLS_CERT": str(files / "cert.pem"),
        "SHARQ_SERVER_TLS_KEY": str(files / "key.pem"),
    }
    server = SharqServer(tmp_path, environ=environ)
    server.launch()
    try:
        server.until(lambda: "Listening on" in server.log)
        url = server.url.replace("http:", "https:")
        sharq = Sharq(url, SHARQ_TOKEN=token)
        refused = sharq("types", code=4).err
        assert "authority that is not trusted: give its file with --ca" in refused and url in refused
        assert "No such file" in sharq("types", "--ca", str(tmp_path / "none.pem"), code=1).err
        sharq("types", "--ca", str(files / "ca.pem"))
        for wrong in ([], ["--token", "wrong"]):
            failed = Sharq(url)("types", "--ca", str(files / "ca.pem"), *wrong, code=1)
            assert failed.err.startswith(f"sharq: {url}: "), failed
            assert failed.err.endswith(" (set SHARQ_TOKEN, --token or --profile)\n"), failed
        Sharq(url)("types", "--ca", str(files / "ca.pem"), "--token", token)
    finally:
        server.stop()


def test_wrong_identifier_is_refused_by_name(sharq: Sharq) -> None:
    assert "queue_id" in sharq("queue", "sms", "not allowed", code=2).err
    assert "queue_id: expected a string of 1 to 100" in sharq("queue", "sms", "..", code=2).err


def test_unknown_command_is_corrected(sharq: Sharq) -> None:
    assert "Did you mean 'queue', 'queues'" in sharq.process("quue", code=2).err


def test_options_before_the_command_count_and_those_after_it_win(sharq: Sharq, server: SharqServer) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert sharq("--json", "profile", "show").document["url"] == [server.url]
    assert sharq("--url", nowhere, "profile", "show", "--json").document["url"] == [nowhere]
    both = ["--url", nowhere, "profile", "show", "--url", server.url, "--json"]
    assert sharq(*both).document["url"] == [server.url]


def test_debug_shows_the_traceback_and_nothing_else_does() -> None:
    failing = Sharq(f"http://127.0.0.1:{free_port()}")
    assert "Traceback" not in failing.process("types", code=4).err
    assert "Traceback" in failing.process("types", "--debug", code=4).err


def test_fault_of_the_command_itself_is_no_traceback(sharq: Sharq, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Client, "queue", fail)
    failed = sharq("queue", "sms", "acme", code=1)
    assert failed.err == "sharq: RuntimeError: broken. This is a fault of sharq; --debug shows where\n"


def test_interrupted_wait_ends_with_130() -> None:
    with stranger(None) as other:
        command = [str(SCRIPT), "job", "sms", "acme", "order-17", "--wait"]
        process = subprocess.Popen(command, env=Sharq(other.url).environ(), stderr=subprocess.PIPE, text=True)
        assert other.has_request.wait(DEADLINE_S)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (130, "sharq: interrupted\n")


def test_reader_that_has_enough_ends_the_command_quietly(
    sharq: Sharq, server: SharqServer, kind: str
) -> None:
    with Client(server.url) as client:
        for number in range(4):
            job_id = f"j{number}"
            client.enqueue(
                EnqueueJob(queue_type=kind, queue_id="q", job_id=job_id, interval=0, payload="x" * 200_000)
            )
    for words in (["--json"], []):
        pipe = f"{SCRIPT} jobs {kind} q {' '.join(words)} | head -c 20; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", pipe],
            env=sharq.environ(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert (done.returncode, done.stderr, len(done.stdout)) == (141, "", 20)
