"""Reading and decoding files."""
