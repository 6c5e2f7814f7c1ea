"""Asks the daemon in this container whether it is alive; exits 1 if not. Without its pages there is nobody to ask."""

import os
import sys
import urllib.request

if os.environ.get("PY_IMAGE_DEDUP_STATS_ENABLED", "").lower() in {"false", "no", "off", "0"}:
    sys.exit(0)
address = os.environ.get("PY_IMAGE_DEDUP_STATS_ADDRESS", "")
host = "127.0.0.1" if address in {"", "0.0.0.0", "::"} else f"[{address}]" if ":" in address else address  # noqa: S104
port = os.environ.get("PY_IMAGE_DEDUP_STATS_PORT", "8000")
try:
    with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(f"no answer from {host}:{port}: {error}")
