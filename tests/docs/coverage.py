"""Says of every block of code in the documentation what holds it, so that none is left to rot.

A page that gets a block of a new kind fails tests/docs/test_blocks.py until the block is here. The best answer is a
test that runs it. What cannot run here (it needs systemd, a container engine, a Kubernetes, ...) is in NOT_RUN with the
reason; its commands are still parsed, and their options looked up.
"""

from __future__ import annotations

import msgspec

from tests.docs.blocks import Block


class Rule(msgspec.Struct, frozen=True):
    """A holder, and the blocks that it holds.

    Attributes:
        page: path in the repository, or a folder that ends with a slash; several with blanks between them.
        language: of the blocks; several with blanks between them.
        holder: `file::test` that runs them; in NOT_RUN the reason why none does.
        words: only the blocks that have these words.
    """

    page: str
    language: str
    holder: str
    words: str = ""

    def covers(self, block: Block) -> bool:
        """Return True if the rule is about a block."""
        is_page = any(
            block.page == page or (page.endswith("/") and block.page.startswith(page))
            for page in self.page.split()
        )
        return is_page and block.language in self.language.split() and self.words in block.text


_README = "tests/api/test_readme.py::test_examples_answer_as_printed"
_LIFE = "tests/api/test_worked_examples.py::test_examples_about_the_life_of_jobs_answer_as_printed"
_WORKED = "tests/api/test_worked_examples.py::test_worked_examples_answer_as_printed"
_COMMAND = "tests/clients/command/test_page.py::test_examples_of_the_page_print_what_is_printed"
_MIGRATION = "tests/clients/migration/test_migration_page.py::"
_OPERATIONS = "tests/deploy/compose/test_operations.py::"
_RULES = "tests/deploy/monitoring/test_rules.py::"
_CHART_RULES = "tests/deploy/chart/test_monitoring.py::"
_TARGETS_FILE = "tests/deploy/test_targets_file.py::"
_STORE_STEPS = "tests/deploy/compose/test_store_steps.py::"
_OTHERS = "tests/docs/test_other_blocks.py::"
_CLIENT = "tests/clients/test_pages.py::"
_TRACES = "tests/clients/test_tracing_page.py::"
_DJANGO = "tests/clients/django/test_page.py::"
_WHEELS = "tests/installation builds the wheels and installs them into empty environments"
_STEPS = "tests/installation does these steps; a server there ends"
_ENGINE = "needs a container engine; tests/deploy/test_container.py does the steps of the image without one"
_PIP = "pip needs a registry; the tests of installation build and install the wheels"

RUN = (
    Rule("README.md", "console", _README),
    Rule("docs/tour.md", "console", _README),
    Rule("docs/quickstart.md", "console python", "tests/docs/test_walks.py::test_quick_start"),
    Rule("docs/tutorials/", "console python", "tests/docs/test_walks.py::test_tutorial"),
    Rule("docs/api.md", "console", "tests/api/test_reference.py::test_examples_answer_as_printed"),
    Rule("docs/jobs.md", "console python", _LIFE),
    Rule("docs/limits.md", "console", _OTHERS + "test_holds_of_the_page_about_limits", '"until"'),
    Rule("docs/limits.md", "console", _WORKED, '{"status"'),
    Rule("docs/limits.md", "json", _OTHERS + "test_quotas_of_the_page_about_limits", '"quotas"'),
    Rule("docs/limits.md", "json", _OTHERS + "test_cap_of_the_page_about_limits", '"max_leased": 200'),
    Rule("docs/metrics.md", "console", _OTHERS + "test_queues_that_are_behind"),
    Rule("docs/security.md", "console", _OTHERS + "test_a_new_token"),
    Rule("docs/security.md", "text", _OTHERS + "test_lines_of_tokens", "ops="),
    Rule("docs/command.md", "console csv jsonl ini", _COMMAND),
    Rule("docs/command.md", "toml", _OTHERS + "test_profiles_of_the_page_about_the_command"),
    Rule(
        "docs/client.md",
        "python",
        "tests/api/test_readme.py::test_first_program_of_the_client_page_runs_on_what_the_tour_left",
        "wait_ms=1_000",
    ),
    Rule(
        "docs/client.md",
        "python",
        _CLIENT + "test_the_worker_of_the_first_page_gets_the_job_and_stops",
        "worker.handler",
    ),
    Rule("docs/client.md", "python", _CLIENT + "test_a_campaign_is_enqueued_from_a_file", "campaign.csv"),
    Rule(
        "docs/testing.md",
        "python",
        "tests/clients/testing/test_fake_plugin.py::test_the_example_of_the_documentation_passes",
    ),
    Rule(
        "docs/worker.md",
        "python",
        _OTHERS + "test_the_worker_of_the_page_sends_and_stops",
        "worker.run_forever",
    ),
    Rule("docs/worker.md", "python", _OTHERS + "test_batches_and_middleware_of_the_page", "batch=50"),
    Rule(
        "docs/worker.md", "python", _OTHERS + "test_batches_and_middleware_of_the_page", "worker.middleware"
    ),
    Rule("docs/worker.md", "python", _OTHERS + "test_the_program_that_restarts_another", "reload.run"),
    Rule("docs/django.md", "python", _DJANGO + "test_the_test_of_the_page_passes", "FakeSharq"),
    Rule("docs/django.md", "python", _DJANGO + "test_the_project_works_as_printed", "django.tasks"),
    Rule("docs/django.md", "python", _DJANGO + "test_the_project_works_as_printed", "INSTALLED_APPS"),
    Rule("docs/django.md", "python", _DJANGO + "test_the_project_works_as_printed", "def job_of("),
    Rule("docs/django.md", "python", _DJANGO + "test_the_project_works_as_printed", "import count_letters"),
    Rule(
        "docs/api.md",
        "ts",
        "tests/api/test_openapi_tools.py::test_programs_with_generated_types_compile_and_run",
    ),
    Rule(
        "docs/typescript.md",
        "ts",
        "tests/clients/typescript/test_page.py::test_the_programs_do_what_the_page_says",
    ),
    Rule("clients/python/README.md", "python", _OTHERS + "test_the_program_of_the_distribution"),
    Rule("docs/migration.md", "python", _MIGRATION + "test_examples_of_the_original", "original"),
    Rule("docs/migration.md", "python", _MIGRATION + "test_example_of_celery", "import_celery"),
    Rule("docs/migration.md", "python", _MIGRATION + "test_example_of_bullmq", "import_bullmq"),
    Rule(
        "docs/operations.md",
        "sh",
        _OPERATIONS + "test_store_servers_are_added_and_removed_without_a_failed_request",
        "--cluster",
    ),
    Rule(
        "docs/operations.md",
        "sh",
        _STORE_STEPS + "test_a_sentinel_group_is_restarted_and_only_the_failover_costs_requests",
        "SENTINEL",
    ),
    Rule(
        "docs/operations.md", "sh", _STORE_STEPS + "test_a_backup_is_restored_as_the_document_says", "SERVER%"
    ),
    Rule("docs/cluster.md", "json", _OTHERS + "test_state_of_a_cluster_on_one_machine"),
    Rule(
        "docs/cluster.md", "yaml", _TARGETS_FILE + "test_prometheus_scrapes_each_router_and_shard_by_the_file"
    ),
    Rule("docs/configuration.md", "json", _OTHERS + "test_a_line_of_the_log"),
    Rule("docs/deploy.md", "yaml", _OTHERS + "test_values_of_the_page_about_deployment"),
    Rule(
        "docs/monitoring.md", "sh", _RULES + "test_the_command_of_the_document_sets_both_addresses", "sed -i"
    ),
    Rule("docs/monitoring.md", "yaml", _CHART_RULES + "test_values_of_the_document_do_what_it_says"),
    Rule("docs/tracing.md", "yaml", _OTHERS + "test_configuration_of_a_collector"),
    Rule("docs/tracing.md", "console", _TRACES + "test_the_request_of_the_page_gives_its_job_a_trace"),
    Rule("docs/tracing.md", "ini", _TRACES + "test_the_setting_of_the_page_switches_tracing_on"),
    Rule("docs/tracing.md", "python", _TRACES + "test_the_program_of_the_page_makes_one_trace"),
)

NOT_RUN = (
    Rule("README.md", "sh", "they run for minutes; the continuous integration runs them", "make demo"),
    Rule("README.md docs/installation.md", "sh", _STEPS, "make setup"),
    Rule("README.md docs/installation.md", "sh", _WHEELS, "make wheels"),
    Rule("docs/installation.md", "sh", _WHEELS, "/opt/sharq/"),
    Rule("docs/installation.md", "sh", _WHEELS, 'pip install "$(ls dist/sharq_client'),
    Rule("README.md docs/installation.md docs/security.md", "sh", _ENGINE, "docker "),
    Rule(
        "docs/typescript.md clients/typescript/README.md",
        "sh",
        "tests/clients/typescript builds and packs the client",
    ),
    Rule("clients/typescript/README.md", "ts", "tests/clients/typescript runs the same calls"),
    Rule("examples/", "sh", "tests/examples runs each example as make does", "make example"),
    Rule(
        "examples/",
        "sh",
        "tests/examples starts the same programs, with servers that end",
        "bin/sharq-server",
    ),
    Rule("docs/api.md", "sh", "tests/api/test_openapi_tools.py generates the types with the locked tool"),
    Rule("docs/django.md", "sh", _PIP, "pip "),
    Rule(
        "docs/django.md",
        "sh",
        "tests/clients/django/test_page.py starts it in the page's project",
        "manage.py",
    ),
    Rule(
        "docs/tracing.md",
        "sh",
        _ENGINE + "; tests/cluster/test_traces.py sends spans to a collector",
        "docker ",
    ),
    Rule("docs/quickstart.md", "sh", "the same: make setup, and a server that goes on"),
    Rule("docs/client.md", "sh", _PIP),
    Rule("docs/command.md", "sh", _PIP, "pip "),
    Rule(
        "docs/command.md",
        "sh",
        "send.sh is the reader's; tests/clients/command/test_worker.py runs --exec",
        "--exec",
    ),
    Rule("docs/migration.md", "sh", _PIP, "pip "),
    Rule(
        "docs/migration.md",
        "sh",
        "needs the source's Redis; tests/clients/command/test_import.py runs each",
        "import original",
    ),
    Rule("clients/python/README.md", "sh", _PIP),
    Rule(
        "docs/benchmarks.md",
        "console",
        "an hour; tests/unit/benchmarks/test_benchmarks.py and the benchmarks' quick forms run",
    ),
    Rule(
        "docs/cluster.md",
        "sh",
        "needs several machines; tests/cluster starts the same programs on one",
        "sharq-",
    ),
    Rule(
        "docs/cluster.md",
        "sh",
        "a foreground program; tests/cluster/test_haproxy.py runs it with this file",
        "haproxy",
    ),
    Rule(
        "docs/deploy.md",
        "sh",
        "needs systemd, a container engine or a Kubernetes; tests/deploy runs the units, the services and the chart",
    ),
    Rule(
        "docs/monitoring.md",
        "sh",
        "needs a container engine; tests/deploy/monitoring/test_two_clusters.py runs Alertmanager with its file",
        "--profile",
    ),
    Rule(
        "docs/runbook.md",
        "sh",
        "tests/api/programs/test_embedded_files.py repairs damaged files with it",
        "--repair",
    ),
    Rule(
        "docs/store.md",
        "sh",
        "tests/cluster/stores/test_data_loss_processes.py accepts a loss with it",
        "--accept-data-loss",
    ),
    Rule(
        "docs/security.md",
        "json",
        "tests/api/access/test_audit.py compares such an entry",
        '"event":"change"',
    ),
)

DRAWN = (
    Rule("docs/security.md", "text", "tests/api/access/test_audit.py looks for such a line", "INFO change "),
    Rule("docs/tracing.md", "text", "a drawing", "trace of the order"),
    Rule("docs/installation.md", "text", "what a program says", "[redis] names no server"),
    Rule("README.md", "text", "a drawing", "producers, workers"),
    Rule("docs/architecture.md", "text", "a drawing of folders"),
    Rule("docs/cluster.md", "text", "usage", "[--routers"),
    Rule("docs/configuration.md", "text", "usage", "[--config"),
    Rule("docs/command.md", "text", "what a terminal shows, of one moment", "sharq top"),
    Rule("docs/command.md", "text", "what a measurement prints", "enqueues  "),
)
"""Blocks of text, which nothing can run; the options of a usage are looked up."""
