"""The tables of the shop."""

from __future__ import annotations

from django.db import models


class Text(models.Model):
    """A text of a customer.

    Attributes:
        result_id: the id of the task that sends it; empty until the task is enqueued.
    """

    customer = models.CharField(max_length=30)
    body = models.TextField()
    result_id = models.CharField(max_length=64, blank=True)
