"""Provides what tests share, each thing once: servers, loads, checkers, waits and free ports."""
