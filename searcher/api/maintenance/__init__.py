"""Generations, backups, and videos that wait for segments."""
