"""Datasets, edited videos, cached features and result records."""
