"""Weights of networks: where they lie, whether they are whole, how they are fetched and loaded."""
