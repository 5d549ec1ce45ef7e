"""Consumes the log of embeddings into the index: complete videos, deletions, offsets."""
