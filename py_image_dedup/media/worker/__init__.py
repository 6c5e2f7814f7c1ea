"""The decoder worker: everything that runs in its process, and nothing else."""
