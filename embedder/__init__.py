"""Segments in, embeddings out."""
