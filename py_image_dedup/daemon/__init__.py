"""File events become settled batches, and these become runs."""
