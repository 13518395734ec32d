"""Programs that run in the Python of another library. They import nothing of this project."""
