"""Localisation: the exact range of a match, and how certain it is."""
