"""Find the duplicates of a photo library, rank them, and remove the redundant ones so that nothing can be lost."""
