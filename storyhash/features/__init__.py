"""The steps of the paper as separate commands: features, fused vectors, an index, a query."""
