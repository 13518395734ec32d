"""A service in FastAPI that makes reports in the background, and lets the caller wait for them."""
