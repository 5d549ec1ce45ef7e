"""Measures: from rows to numbers. Pure functions; nothing here reads a file or draws."""
