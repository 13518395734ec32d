"""Handlers: which kinds there are, what they get and give, how they are registered, and the threads of plain ones."""
