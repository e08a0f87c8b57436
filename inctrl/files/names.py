"""Patterns of the names by which things are kept; each can be the name of a file, and no flag."""

SET = r"[a-z0-9][a-z0-9._-]{0,63}"
REFERENCE = rf"{SET}(@[1-9][0-9]{{0,8}})?"
"""NAME or NAME@VERSION."""
TOKEN = SET
ADAPTER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
JOB = r"[A-Za-z0-9_-]{1,64}"
SHA256 = r"[0-9a-f]{64}"
ID = r"[0-9a-f]{32}"
"""Of a score or of feedback."""
