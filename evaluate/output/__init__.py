"""Output: tables, and folders of results that are written whole or not at all."""
