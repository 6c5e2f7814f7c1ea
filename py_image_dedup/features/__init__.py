"""Local image features: keypoints, descriptors, visual words and the inverted index that proposes candidates."""
