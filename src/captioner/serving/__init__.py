"""`captioner serve`: a page and a JSON address that caption one uploaded sound at a time."""
