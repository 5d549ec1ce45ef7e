"""Weights of networks: finds, checks, downloads and loads them."""
