"""Holds the commands that move jobs, run workers, or watch the whole server and cluster."""
