"""The web servers of four customers: one that works, a slow one, one that is down, and one that limits its callers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass

from aiohttp import web

SLOW_S = 0.6
RETRY_AFTER_S = 2


@dataclass
class Delivery:
    """A request that has arrived; times are in seconds since the epoch.

    Attributes:
        at_once: the requests of this customer that were open, with this one.
    """

    at: float
    customer: str
    event: str
    attempt: int
    at_once: int
    status: int = 0


class Customers:
    """The web servers. Each takes `POST /<customer>`."""

    def __init__(self, secret: bytes) -> None:
        self.deliveries: list[Delivery] = []
        self.is_down = True
        self._secret = secret
        self._open: dict[str, int] = {}

    async def receive(self, request: web.Request) -> web.Response:
        """Take an event, in the way of its customer."""
        customer = request.match_info["customer"]
        body = await request.read()
        self._open[customer] = self._open.get(customer, 0) + 1
        headers = request.headers
        delivery = Delivery(
            time.time(),
            customer,
            headers["Webhook-Id"],
            int(headers["Webhook-Attempt"]),
            self._open[customer],
        )
        self.deliveries.append(delivery)
        try:
            if not hmac.compare_digest(sign(self._secret, body), headers["Webhook-Signature"]):
                delivery.status = 401
            else:
                delivery.status = await self._answer(customer)
        finally:
            self._open[customer] -= 1
        more = {"Retry-After": str(RETRY_AFTER_S)} if delivery.status == 429 else {}
        return web.Response(status=delivery.status, headers=more)

    async def _answer(self, customer: str) -> int:
        if customer == "slow":
            await asyncio.sleep(SLOW_S)
        if customer == "down" and self.is_down:
            return 503
        # This one takes five events, wants a pause, and takes the rest.
        if customer == "limited" and sum(each.customer == customer for each in self.deliveries) == 6:
            return 429
        return 200


def sign(secret: bytes, body: bytes) -> str:
    """Return the signature by which a customer knows that a webhook is ours."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
