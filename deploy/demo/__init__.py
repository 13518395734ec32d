"""The demo: customers with different rates, workers over HTTP, and a check of every promise."""
