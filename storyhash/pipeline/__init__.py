"""Indexing in one process: the plan, the stages and the report."""
