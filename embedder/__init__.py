"""From segments to embeddings."""
