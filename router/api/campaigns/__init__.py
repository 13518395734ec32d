"""Holds the shapes of requests and answers about campaigns, and their parsing."""
