"""A file becomes pixels, facts, and digests of its bytes and of its pixels."""
