"""Which edit made the query from the reference: estimated from the pictures of both."""
