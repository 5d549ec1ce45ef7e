"""`storyhash evaluate`."""
