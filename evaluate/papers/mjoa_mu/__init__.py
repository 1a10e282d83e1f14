"""MJOA-MU: measures what its authors claim of cold starts."""
