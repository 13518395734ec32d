"""The tests of the application in fake_app.py, as docs/client.md shows them. test_fake_plugin.py runs them."""

from sharq_client.errors import OutcomeUnknown, Unavailable
from sharq_client.testing import FakeSharq
from tests.clients.fake_app import make_worker, post_text


class Carrier:
    """A carrier that gives the answers that it is told to, and then 200."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []

    def send(self, number: str, text: str) -> int:
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.sent.append(text)
        return status


def test_a_customer_sends_ten_a_second(sharq: FakeSharq) -> None:
    for n in range(25):
        assert post_text(sharq.client(), "acme", "+15550100", f"text {n}") == 202
    deliveries = sharq.run(make_worker(sharq.async_client(), Carrier()))
    start_ms = deliveries[0].time_ms
    assert [time_ms - start_ms for time_ms, _, _ in deliveries] == [100 * n for n in range(25)]


def test_a_busy_carrier_gets_a_pause_of_30_s(sharq: FakeSharq) -> None:
    post_text(sharq.client(), "acme", "+15550100", "Hello")
    first, second = sharq.run(make_worker(sharq.async_client(), Carrier(429)))
    assert (first.outcome, second.outcome) == ("released", "finished")
    assert second.time_ms - first.time_ms == 30_000
    assert second.job.attempt == 1  # the throttled attempt does not count


def test_a_text_that_always_fails_becomes_a_dead_letter(sharq: FakeSharq) -> None:
    post_text(sharq.client(), "acme", "+15550100", "Hello")
    sharq.run(make_worker(sharq.async_client(), Carrier(500, 500, 500, 500)))
    (letter,) = sharq.dead("texts")
    assert (letter.attempt, letter.error) == (4, "RuntimeError: the carrier answered 500")


def test_a_full_queue_is_told_to_the_browser(sharq: FakeSharq) -> None:
    client = sharq.client()
    assert {post_text(client, "acme", "+15550100", "Hello") for _ in range(1_000)} == {202}
    assert post_text(client, "acme", "+15550100", "Hello") == 429


def test_an_outage_is_told_to_the_browser(sharq: FakeSharq) -> None:
    sharq.fail_next(Unavailable, times=3)  # the client tries three times
    assert post_text(sharq.client(), "acme", "+15550100", "Hello") == 503
    assert sharq.jobs("texts") == []


def test_a_lost_answer_does_not_send_a_text_twice(sharq: FakeSharq) -> None:
    sharq.fail_next(OutcomeUnknown, verb="enqueue", is_done=True)
    assert post_text(sharq.client(), "acme", "+15550100", "Hello") == 202
    carrier = Carrier()
    sharq.run(make_worker(sharq.async_client(), carrier))
    assert carrier.sent == ["Hello"]
