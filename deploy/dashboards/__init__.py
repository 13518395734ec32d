"""The Grafana dashboards as Python: `python -m deploy.dashboards` writes them into deploy/grafana/dashboards.

Not here: the alert rules (deploy/prometheus) and what the metrics mean (router/http/metrics.py, shard/metrics/node.py).
"""
