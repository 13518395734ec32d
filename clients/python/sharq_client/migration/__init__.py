"""Imports jobs from other queueing systems on Redis: from the original SHARQ, from Celery and from BullMQ.

It needs the extra `import` of this distribution: pip install 'sharq-client[import]'.
"""

from sharq_client.migration.brokers.bullmq import import_bullmq
from sharq_client.migration.brokers.celery import import_celery
from sharq_client.migration.original.import_original import UndoSummary, import_original, undo_original
from sharq_client.migration.summaries import MissingExtra, OnProgress, Progress, Refusal, Summary

__all__ = [
    "MissingExtra",
    "OnProgress",
    "Progress",
    "Refusal",
    "Summary",
    "UndoSummary",
    "import_bullmq",
    "import_celery",
    "import_original",
    "undo_original",
]
