"""Search one index several times, and look at the result as a table, as JSON and as figures."""

from py_image_dedup import Index

index = Index("train", "test")
for similarity in ("identical", "same-pixels", "strict", "normal"):
    found = index.search(similarity=similarity)
    print(f"{similarity}: {len(found.redundant)} redundant files")

upright = index.search(rotated=False, max_distance=0.2)
print(upright.stats["counts"]["groups"], "groups in", upright.stats["seconds"]["find"], "s")
print(upright.to_pandas().groupby("match_class").size().to_dict())
upright.to_json("duplicates.json")
