"""Jobs: matches that a caller asks for and fetches later."""
