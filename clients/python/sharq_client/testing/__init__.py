"""A SHARQ in memory for the tests of applications, with the real rules and a clock that the test moves.

    from sharq_client.testing import FakeSharq

    sharq = FakeSharq()
    shop = Shop(sharq.client())         # a real client; nothing is sent
    shop.send_greetings(["ann", "bob"])
    for time_ms, job, outcome in sharq.run(shop.worker(sharq.async_client())):
        ...                              # when each job was leased, and how that ended

The pytest fixture `sharq` is a new FakeSharq for each test. Not part of the fake are windows, schedules, quotas, caps,
ordered lists of queues, and the state of the cluster: requests about them raise NotImplementedError, which names the
feature.
"""

from sharq_client.testing.fake import Delivery, FakeSharq, KnownJob

__all__ = ["Delivery", "FakeSharq", "KnownJob"]
