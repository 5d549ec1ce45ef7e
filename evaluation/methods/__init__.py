"""The methods that are compared: StoryHash under several configurations, and baselines."""
