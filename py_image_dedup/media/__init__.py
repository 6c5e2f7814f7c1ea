"""Files become pixels, facts and digests; pictures are decoded in worker processes."""
