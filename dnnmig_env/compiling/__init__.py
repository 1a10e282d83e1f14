"""Compiling: turns numeric functions into machine code, keeps that between runs, and shares loops among threads."""
