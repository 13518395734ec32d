"""Imports the waiting jobs of one queue of another job library on Redis: Celery or BullMQ."""
