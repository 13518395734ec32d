"""Deploys, monitors and demonstrates the system."""
