"""Scoring: from the scores of a candidate to a probability and a decision."""
