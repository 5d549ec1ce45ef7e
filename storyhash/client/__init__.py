"""StoryHash services called over HTTP."""
