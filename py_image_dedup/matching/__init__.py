"""Matches between files by class, and the groups that form around a keeper."""
