"""`storyhash serve`: the API, a queue of videos to index and a watched folder in one process."""
