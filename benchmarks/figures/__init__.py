"""Figures: a measured number, the goal that it is held against, and the reports and tables that show both.

Nothing is measured here. Every goal of the project is in targets.py.
"""
