"""The decoder worker: the modules that run in the worker process."""
