"""Look uploads up: is this picture in the library already, in whatever size or format?"""

from pathlib import Path

from py_image_dedup import Index

library = Index("library", state_directory="state")
library.search()  # reads new and changed files; nothing else is done with them

for upload in sorted(Path("uploads").iterdir()):
    matches = library.known(upload.read_bytes())
    if matches:
        print(f"{upload.name} is {matches[0].match_class} to {matches[0].right.path.name}")
    else:
        print(f"{upload.name} is new")
