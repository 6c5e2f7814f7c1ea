"""The version of everything in this room that an index entry depends on."""

MEDIA_VERSION = 2
"""Raised when the facts, the canonical grey picture or the pixel digest of a file come out differently than before.

Entries of another version are made anew by the next run.
"""
