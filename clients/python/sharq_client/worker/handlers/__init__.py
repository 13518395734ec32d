"""Handlers: their kinds, their arguments and results, their registration, and the threads of plain functions."""
