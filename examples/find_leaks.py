"""Find leaks: pictures of the test set that are in the training set too, perhaps resized, mirrored or re-encoded."""

from py_image_dedup import find_duplicates

leaks = find_duplicates("test", against="train")

for pair in leaks.pairs():
    print(f"{pair.right.name} is {pair.match_class} to {pair.left.name} ({pair.transform})")

print(f"{len(leaks.unique)} of the test pictures are new")
