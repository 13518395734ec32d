"""Handlers of requests about named caps, and the name of the cap that holds a queue back."""
