"""The console: one web page over the HTTP API, served by every router, and the stream of numbers that it watches.

The page's own code is in static/: modules of JavaScript that browsers load as they are, without a build step and
without anything from another host.
"""
