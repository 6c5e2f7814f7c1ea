"""The perceptual signature of image-match, its distance and its eight orientations."""
