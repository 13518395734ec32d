"""Holds `sharq`, the command for operators and scripts. Needs the extra `cli` (typer and rich)."""
