"""Commands on the installation: settings, models, checks, and the demo."""
