"""Embeddings in, index and answers out."""
