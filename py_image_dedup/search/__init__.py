"""The exact similarity join over signatures."""
