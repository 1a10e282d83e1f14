"""MJOA-MU: cold starts of many users, placed by PBT-DP, with shares handed out by ARA."""
