"""HTTP: servers, bounds on what callers may cost, uploads and request bodies."""
