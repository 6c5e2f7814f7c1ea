"""Decisions of a person about a run, and the server of the page that they are made on."""
