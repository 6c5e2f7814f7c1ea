"""Run by the interpreter that has imagededup: lists of files come in, one a line as JSON, and their hashes go out."""

import importlib.metadata
import json
import logging
import sys

from imagededup.methods import PHash


def main() -> None:
    logging.disable(logging.WARNING)  # it warns of every format that it does not read
    method = PHash(verbose=False)
    print(json.dumps(importlib.metadata.version("imagededup")), flush=True)
    for line in sys.stdin:
        print(json.dumps([method.encode_image(image_file=name) for name in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
