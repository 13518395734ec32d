"""Webhooks: each customer has its own queue, so that a slow or failing one delays nobody else."""
