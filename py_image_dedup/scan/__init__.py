"""Which files count, and the one walk that finds them."""
