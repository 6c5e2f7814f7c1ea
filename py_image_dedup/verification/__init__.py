"""Geometric verification of a candidate pair: correspondence, transform, registration, comparison, evidence."""
