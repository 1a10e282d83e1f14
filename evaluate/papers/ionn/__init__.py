"""IONN: replays published layer profiles."""
