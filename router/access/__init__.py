"""The rights of the holder of a token: its permissions, its queue types and its limits.

`router/http/tokens.py` finds the token of a request and refuses what it may not do; nothing below the router knows
tokens.
"""
