"""Which files count, and one walk that finds them."""
