"""Tests of what a user installs: the distributions, each in an empty environment, and what `make setup` brings."""
