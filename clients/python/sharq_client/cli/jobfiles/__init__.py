"""Reads jobs from files, and enqueues them so that an interrupted run can go on."""
