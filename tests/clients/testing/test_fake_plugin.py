"""The pytest plugin of sharq-client, in runs of pytest that are projects of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
OTHERS = ["xdist", "schemathesis", "valkey", "cov", "timeout", "hypothesispytest"]


def run_alone(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest in a process of its own, with few other plugins."""
    without = [argument for name in OTHERS for argument in ("-p", f"no:{name}")]
    return pytester.runpytest_subprocess(*without, "-W", "error", *arguments)


def test_the_example_of_the_documentation_passes(pytester: pytest.Pytester) -> None:
    application, tests = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    pytester.makepyfile(
        texts=application,
        test_texts=tests,
        test_each_alone="""
            import pytest

            @pytest.mark.parametrize("n", [1, 2])
            def test_the_fake_is_new(sharq, n):
                assert sharq.jobs("sms") == []
                sharq.client().enqueue({"queue_type": "sms", "queue_id": "acme", "payload": n, "interval": 0})
                assert [job.payload for job in sharq.jobs("sms")] == [n]
            """,
    )
    run_alone(pytester, "-p", "no:asyncio").assert_outcomes(passed=8)


def test_an_asyncio_test_uses_the_fake_in_its_own_loop(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from sharq_client import Worker

        async def test_greetings(sharq):
            client = sharq.async_client()
            await client.enqueue({"queue_type": "sms", "queue_id": "acme", "payload": "Hi", "interval": 0})
            greeted = []

            async def greet(job):
                greeted.append(job.payload)

            sharq.run(Worker(client, "sms", greet))
            assert greeted == ["Hi"]
            assert await client.dequeue("sms", wait_ms=5_000) is None
        """
    )
    options = ["asyncio_mode=auto", "asyncio_default_fixture_loop_scope=function"]
    result = run_alone(pytester, *(word for option in options for word in ("-o", option)))
    result.assert_outcomes(passed=1)


def test_a_project_that_does_not_use_the_fake_is_not_disturbed(pytester: pytest.Pytester) -> None:
    """Nothing of the client is imported, and the name of the fixture may be another one's."""
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef sharq():\n    return 'theirs'\n")
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported(sharq):
            assert sharq == "theirs"
            assert "pytest_sharq" in sys.modules
            assert not [name for name in sys.modules if name.partition(".")[0] in {"sharq_client", "aiohttp"}]
        """
    )
    run_alone(pytester, "-p", "no:asyncio").assert_outcomes(passed=1)
