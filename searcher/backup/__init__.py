"""Backups of a data folder: made while a service runs, verified, restored."""
