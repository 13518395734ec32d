"""The programs that other systems run in their own environments; they import nothing of this project."""
