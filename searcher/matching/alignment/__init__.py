"""Alignment: runs of query windows that follow a reference in time."""
