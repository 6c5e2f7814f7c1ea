"""The edits of the ladder, picture to picture, by kind."""
