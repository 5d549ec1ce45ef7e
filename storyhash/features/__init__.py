"""The steps of the paper one by one: videos, features, fused vectors, an index, a query."""
