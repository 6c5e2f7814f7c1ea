"""``python -m py_image_dedup`` is ``py-image-dedup``."""

from py_image_dedup.cli import main

main()
