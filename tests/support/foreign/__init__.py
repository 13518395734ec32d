"""Runs the libraries that jobs are imported from, each as it is published, in processes of their own."""
