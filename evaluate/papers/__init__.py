"""Results of papers, produced again from their published data or in their settings."""
