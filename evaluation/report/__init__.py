"""Results as tables, figures, Markdown, LaTeX and JSON."""
