"""Defines the dashboard of queue types: promised against delivered, backlog, throughput and delay.

There are too many single queues for labels; GET /queue/ and the console show one.
"""

from __future__ import annotations

from deploy.dashboards.model import Dashboard, Limits, Query, Row, graph
from deploy.dashboards.promql import OF_TYPE, growth, per_second, quantile, share_delivered, total, worst
from deploy.dashboards.variables import PROCESSES

BY_TYPE = "queue_type"
LEGEND = "{{queue_type}}"
CUSTOMERS = "#/customers/${__field.labels.queue_type}"
BY_AGE = f"{CUSTOMERS}?by=age"
BY_DEPTH = f"{CUSTOMERS}?by=depth"
TYPE_VIEW = "#/type/${__field.labels.queue_type}"

PROMISED = Row(
    "Promised and delivered",
    (
        graph(
            "Delivered of promised",
            "Jobs that queues with a rate gave, as a share of what their rates and backlogs allowed (sampled). The"
            " console draws it for one customer: click a curve.",
            Query(share_delivered(OF_TYPE), LEGEND),
            unit="percentunit",
            limits=Limits(0.9, 0.8, is_low_bad=True),
            alerts=("SharqRatesAreNotDelivered",),
            console=CUSTOMERS,
        ),
        graph(
            "Promised against delivered",
            "Jobs of the sampled queues. Compare the two curves of a type; their height depends on how many of its"
            " queues are sampled.",
            Query(per_second("sharq_sampled_promised_jobs_total", BY_TYPE, OF_TYPE), f"{LEGEND} promised"),
            Query(per_second("sharq_sampled_delivered_jobs_total", BY_TYPE, OF_TYPE), f"{LEGEND} delivered"),
            alerts=("SharqRatesAreNotDelivered",),
            console=CUSTOMERS,
        ),
        graph(
            "Blocked",
            "Share of the time for which workers waited for jobs of a type that had some, by the reason (sampled).",
            Query(
                per_second("sharq_blocked_seconds_total", f"{BY_TYPE}, blocked_by", OF_TYPE),
                f"{LEGEND} {{{{blocked_by}}}}",
            ),
            unit="percentunit",
            alerts=("SharqRatesAreNotDelivered",),
            console=TYPE_VIEW,
        ),
        graph(
            "Caps in use",
            "Share of each limit of a gathered type in use over the last minute, of max_leased at the moment, and of "
            "each quota in its present day or hour.",
            Query(worst("sharq_type_cap_used_ratio", f"{BY_TYPE}, cap", OF_TYPE), f"{LEGEND} {{{{cap}}}}"),
            unit="percentunit",
            limits=Limits(0.95),
            alerts=("SharqTypeIsAtItsCap",),
            console=TYPE_VIEW,
        ),
        graph(
            "Ready delay, p50",
            "Time from ready to leased.",
            Query(quantile(0.5, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
            alerts=("SharqJobsAreLate",),
            console=BY_AGE,
        ),
        graph(
            "Ready delay, p99",
            "Time from ready to leased. The objective is 1 s.",
            Query(quantile(0.99, "sharq_ready_delay_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
            limits=Limits(1, 5),
            alerts=("SharqJobsAreLate",),
            console=BY_AGE,
        ),
    ),
)

BACKLOG = Row(
    "Backlog",
    (
        graph(
            "Waiting",
            "Queued jobs. A queue that gets more than its rate has a backlog by design; watch the ready delay instead.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="queued"'), LEGEND),
            alerts=("SharqTypeIsAtItsCap",),
            console=BY_DEPTH,
        ),
        graph(
            "Leased now",
            "Jobs that workers hold.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="leased"'), LEGEND),
            console=TYPE_VIEW,
        ),
        graph(
            "Delayed",
            "Jobs that wait for the end of their delay.",
            Query(total("sharq_jobs", BY_TYPE, f'{OF_TYPE}, state="delayed"'), LEGEND),
            console=TYPE_VIEW,
        ),
        graph(
            "Longest ready",
            "Age of the longest ready job. GET /top/<type>/ lists the queues.",
            Query(worst("sharq_oldest_ready_age_seconds", BY_TYPE, OF_TYPE), LEGEND),
            unit="s",
            limits=Limits(60, 300),
            alerts=("SharqJobsStandStill",),
            console=BY_AGE,
        ),
    ),
)

THROUGHPUT = Row(
    "Throughput",
    (
        graph(
            "Enqueued",
            "Jobs accepted per second, by type.",
            Query(growth("sharq_jobs_enqueued_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=TYPE_VIEW,
        ),
        graph(
            "Leased",
            "Jobs leased to workers per second, by type.",
            Query(per_second("sharq_ready_delay_seconds_count", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=TYPE_VIEW,
        ),
        graph(
            "Finished",
            "Jobs finished per second, by type.",
            Query(growth("sharq_jobs_finished_total", BY_TYPE, OF_TYPE), LEGEND),
            unit="ops",
            console=TYPE_VIEW,
        ),
        graph(
            "Enqueues that queued nothing",
            "duplicate: the job id exists. full: the queue is at its cap. no_interval: the queue has no rate.",
            Query(
                per_second(
                    "sharq_enqueue_outcomes_total", f"{BY_TYPE}, outcome", f'{OF_TYPE}, outcome!="queued"'
                ),
                f"{LEGEND} {{{{outcome}}}}",
            ),
            unit="ops",
            console=TYPE_VIEW,
        ),
    ),
)

QUEUES = Dashboard(
    "sharq-queues", "SHARQ / Queues and rates", PROCESSES, (PROMISED, BACKLOG, THROUGHPUT), has_types=True
)
