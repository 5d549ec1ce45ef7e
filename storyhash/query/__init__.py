"""Queries: decoded and embedded here or by an embedder elsewhere, then matched."""
