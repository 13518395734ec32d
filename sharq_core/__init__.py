"""The engine of SHARQ cluster: values, errors, configuration, the store and the scheduler. It knows no HTTP server."""
