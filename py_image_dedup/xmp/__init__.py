"""XMP: what a picture's metadata say about it, and the sidecars beside it."""
