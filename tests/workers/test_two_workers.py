"""Two workers on one store: jobs through both, waits across them, and what describes the whole."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes.servers import SharqServer
from tests.workers.servers import Client, children, clients, until_waiting


async def test_connections_are_given_to_the_workers_in_turn(server: SharqServer) -> None:
    async with clients(server, 6) as made:
        processes = [await client.process() for client in made]
    assert sorted(processes) == [0, 0, 0, 1, 1, 1]


async def test_a_job_of_one_worker_is_leased_and_finished_at_the_other(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        for number in range(20):
            assert await first.enqueue("over", f"q{number}", "j") == (201, {"status": "queued"})
            status, job = await second.dequeue("over")
            assert (status, job["queue_id"]) == (200, f"q{number}")
            status, _ = await first.ask("POST", f"/finish/over/q{number}/j/", {"lease": job["lease"]})
            assert status == 200
        assert (await first.dequeue("over"))[0] == (await second.dequeue("over"))[0] == 404


async def test_a_poll_at_one_worker_wakes_up_for_a_job_of_the_other(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        for enqueuing, waiting, name in ((first, second, "wake-a"), (second, first, "wake-b")):
            for number in range(5):
                poll = asyncio.create_task(waiting.dequeue(name, wait_ms=30_000))
                await until_waiting(enqueuing, 1)
                await enqueuing.enqueue(name, f"q{number}", "j")
                status, job = await poll
                assert (status, job["queue_id"]) == (200, f"q{number}")


async def test_a_poll_wakes_up_for_a_job_that_the_other_worker_delays(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        poll = asyncio.create_task(second.dequeue("later", wait_ms=30_000))
        await until_waiting(first, 1)
        await first.enqueue("later", "q", "j", delay=300)
        assert (await poll)[0] == 200


async def test_no_job_is_leased_twice_and_the_rate_is_kept_over_both(server: SharqServer) -> None:
    async with clients(server, 8) as made:
        enqueued = [made[n % 8].enqueue("race", f"q{n % 10}", f"j{n}") for n in range(200)]
        assert {status for status, _ in await asyncio.gather(*enqueued)} == {201}

        async def take(client: Client) -> list[str]:
            taken = []
            while (answer := await client.dequeue("race"))[0] == 200:
                taken.append(answer[1]["job_id"])
            return taken

        taken = [job for jobs in await asyncio.gather(*map(take, made)) for job in jobs]
        assert sorted(taken) == sorted(f"j{n}" for n in range(200))


async def test_every_worker_tells_of_all_members_and_counts_all_jobs(server: SharqServer) -> None:
    async with clients(server) as made:
        for number, client in enumerate(made):
            await client.enqueue("counted", f"q{number}", "j")
        for client in made:
            _, cluster = await client.ask("GET", "/cluster/")
            assert [member["node"] for member in cluster["members"]] == ["local-0", "local-1"]
            assert sum(member["partitions"] for member in cluster["members"]) == cluster["partitions"]
            assert {member["store"]["mode"] for member in cluster["members"]} == {"embedded"}
            _, counts = await client.ask("GET", "/metrics/counted/")
            assert sorted(counts["queue_ids"]) == ["q0", "q1"]


async def test_every_worker_answers_with_the_metrics_of_all(server: SharqServer) -> None:
    async with clients(server) as made:
        for client in made:
            text = await client.text("/metrics")
            families = {family.name: family for family in text_string_to_metric_families(text)}
            for name in ("sharq_router_requests", "process_cpu_seconds", "sharq_worker_restarts"):
                samples = families[name].samples
                assert {sample.labels["process"] for sample in samples} == {"0", "1"}, name
            assert text.count("# TYPE sharq_router_requests_total counter") == 1


async def test_the_jobs_of_a_type_are_gauged_once(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        for number in range(10):
            await first.enqueue("gauged", f"q{number}", "j")

        async def queued() -> float:
            families = text_string_to_metric_families(await second.text("/metrics"))
            samples = [sample for family in families for sample in family.samples]
            return sum(
                sample.value
                for sample in samples
                if sample.name == "sharq_jobs"
                and (sample.labels["queue_type"], sample.labels["state"]) == ("gauged", "queued")
            )

        async with asyncio.timeout(30):
            while await queued() != 10:
                await asyncio.sleep(0.1)


def test_each_log_line_of_a_worker_names_it(server: SharqServer) -> None:
    server.until(lambda: "workers_started count=2" in server.log and "Workers: 2" in server.log)
    server.until(lambda: server.log.count("node_ready") == 2)
    ready = [line for line in server.log.splitlines() if "node_ready" in line]
    assert sorted(line.rpartition(" ")[2] for line in ready) == ["worker=0", "worker=1"]


def test_links_between_workers_name_the_other_end(server: SharqServer) -> None:
    server.until(lambda: server.log.count("link_up router=local worker=") == 2)


def test_there_is_one_store_for_all(server: SharqServer) -> None:
    assert {role: len(pids) for role, pids in children(server).items()} == {"workers": 2, "store": 1}
