"""A server whose tokens have words, for tests of what each token may do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from router.access.token_file import new_token
from sharq_client import AsyncClient
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.stores.server import running_store

TOKENS = {
    "produce": "ops=produce",
    "work": "ops=work",
    "read": "ops=read",
    "operate": "ops=operate",
    "admin": "ops=admin",
    "all": "",
    "sms": "types=sms*,voice~x",
    "capped": "max_queued=2",
    "tenant": "caps=mine*",
    "slow": "rps=3",
    "mixed": "ops=produce|work types=sms*",
}


class Roles:
    """A server whose file has each of TOKENS."""

    def __init__(self, server: SharqServer, path: Path) -> None:
        self.server = server
        self.url = server.url
        self.path = path
        self.secrets: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        for name, words in TOKENS.items():
            self.secrets[name], line = new_token(name)
            self.lines[name] = f"{line} {words}"

    def write(self, **changed: str) -> None:
        """Write the file, with some lines changed."""
        self.path.write_text("".join(f"{line}\n" for line in {**self.lines, **changed}.values()))

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[name]}"}

    def client(self, name: str) -> AsyncClient:
        return AsyncClient(self.url, token=self.secrets[name])

    async def ask(
        self, http: aiohttp.ClientSession, name: str, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        """Return status and answer of a request with a token; of an answer that is no JSON, its text."""
        url = f"{self.url}{path}"
        async with http.request(method, url, json=body, headers=self.headers(name)) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())


@contextmanager
def running_roles() -> Iterator[Roles]:
    """Run a server with all TOKENS, on a store of its own."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as folder:
        path = Path(folder) / "tokens"
        path.write_text(f"{new_token('first')[1]}\n")
        environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_AUTH_TOKENS_FILE": str(path), **PATIENT}
        with running_server(environ=environ) as server:
            running = Roles(server, path)
            running.write()
            server.until(lambda: "files_read_again" in server.log)
            yield running
