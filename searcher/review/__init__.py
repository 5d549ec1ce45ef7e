"""Stored matches, the verdicts on them, and what the verdicts say of the decisions."""
