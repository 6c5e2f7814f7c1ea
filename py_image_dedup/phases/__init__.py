"""The seven phases of a run, one module each."""
