"""Gives the results and the progress of jobs to the server."""
