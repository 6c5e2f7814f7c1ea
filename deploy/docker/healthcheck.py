"""Asks the daemon in this container whether it is alive; exits 1 if not."""

import os
import sys
import urllib.request

port = os.environ.get("PY_IMAGE_DEDUP_STATS_PORT", "8000")
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(f"no answer on port {port}: {error}")
