"""Defines the Grafana dashboards; `python -m deploy.dashboards` writes them into deploy/grafana/dashboards.

The alert rules are in deploy/prometheus.
"""
