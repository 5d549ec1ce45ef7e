"""Commands on the catalogue: index, match, and what manages videos and backups."""
