"""Tests of the examples: each is run as a user runs it, and judged by what arrived at its other side."""
