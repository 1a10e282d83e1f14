"""MJOA-MU: measures what its authors claim of cold starts.

Begin with `evaluate.papers.mjoa_mu.mjoa_mu`, the command; `evaluate.papers.mjoa_mu.cases` measures one user on a grid
of settings, `evaluate.papers.mjoa_mu.users` several users.
"""
