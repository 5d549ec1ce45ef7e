"""Turns the vectors of a query into matches and a decision, with functions over arrays."""
