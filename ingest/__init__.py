"""Catalogue files in, segments out."""
