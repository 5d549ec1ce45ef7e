"""Retrieval: the segments near a query, and the videos that are candidates."""
