"""Matches by class, their verification, and the groups that they form."""
