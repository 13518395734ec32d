"""Holds the makers of the calls about campaigns, and the decoders of their replies."""
