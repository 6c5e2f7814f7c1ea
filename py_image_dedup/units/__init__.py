"""Units: which files in a folder are one photo, by their names and by the identifiers in them."""
