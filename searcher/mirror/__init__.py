"""The durable copy of the vectors, in one of Qdrant's three forms."""
