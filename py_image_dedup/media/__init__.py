"""Reads files and decodes pictures, in worker processes, to facts, canonical images and digests."""
