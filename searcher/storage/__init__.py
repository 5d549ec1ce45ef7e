"""What is on disk: the data folder, its SQLite database, videos and incomplete videos."""
