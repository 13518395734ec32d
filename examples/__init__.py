"""Programs that show what SHARQ is for: one folder each, and a runner (`python -m examples NAME`)."""
