"""Everything that runs in the decoder process, and nothing else."""
