"""Tests of the console: its files, its stream, and its page in a browser."""
