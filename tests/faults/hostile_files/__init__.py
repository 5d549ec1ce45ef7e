"""Hostile files on disk, through each command that reads files."""
