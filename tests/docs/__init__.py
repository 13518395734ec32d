"""Tests of the documentation: its blocks of code, links, spelling, and the site in a browser."""
