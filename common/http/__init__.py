"""HTTP servers, limits for callers, uploads and request bodies."""
