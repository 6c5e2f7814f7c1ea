"""Compare two pictures without an index."""

from py_image_dedup.api import compare, features, signature

verdict = compare("train/beach.jpg", "test/beach small.jpg")
if verdict is not None:
    print(verdict.match_class, verdict.orientation.label, verdict.evidence.words)

values = signature("train/beach.jpg")
print(values if values is None else values.shape, len(features("train/beach.jpg")))
