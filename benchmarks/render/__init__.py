"""A table's result as text, Markdown, LaTeX, CSV and a page; pure functions of what is stored."""
