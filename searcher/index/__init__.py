"""The vector index: an HNSW graph, a flat delta and immutable states of both."""
