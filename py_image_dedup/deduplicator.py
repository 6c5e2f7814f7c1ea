"""The seven phases in order, over injected parts: the Python API."""
