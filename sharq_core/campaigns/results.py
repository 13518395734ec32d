"""Defines the size limits of what workers report about jobs: results of finished jobs, and progress of leased ones.

sharq_core/scheduler/lua/results.lua keeps the results, and notes.lua the progress.
"""

from __future__ import annotations

MAX_RESULT_BYTES = 16 * 1024
"""The longest result of a job, in bytes of JSON text."""

MAX_PROGRESS_BYTES = 1024
"""The longest progress of a job, in bytes of JSON text."""
