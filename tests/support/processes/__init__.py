"""Runs the programs of the project as processes."""
