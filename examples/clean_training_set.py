"""Clean a training set: list the near-duplicates, keep the best file of each group, and move the others away."""

from py_image_dedup import find_duplicates

result = find_duplicates("train")
print(result)

for group in result.groups:
    print(f"{group.keeper.path.name} stays: {group.redundant[0].reason.sentence}")
    for redundant in group.redundant:
        print(f"  {redundant.path.name}: {redundant.match.match_class}, distance {redundant.match.distance:.2f}")

for failure in result.failures:
    print(f"{failure.path.name} cannot be read: {failure.message}")

moved = result.move_to("duplicates")
print(f"{len(moved)} files moved; result.undo() brings them back")
