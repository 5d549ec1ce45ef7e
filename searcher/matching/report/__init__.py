"""The report of a query: one row per match."""
