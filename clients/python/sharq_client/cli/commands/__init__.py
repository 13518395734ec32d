"""Holds the commands, a module for each group of them. A command is a function that takes a Session first."""
