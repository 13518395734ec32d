"""The distribution's version, in one place."""

__version__ = "2.0.0b2"
