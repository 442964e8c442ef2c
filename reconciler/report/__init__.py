"""Plans, results and diagnostics for people; the only home of jinja2."""
