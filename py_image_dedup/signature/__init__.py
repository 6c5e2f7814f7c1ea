"""Pixels become a perceptual signature; exact search over signatures."""
