"""An SMS sender: carriers with limits, segments, codes that must not be late, and the night of the recipients."""
