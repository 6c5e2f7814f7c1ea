"""Every option once, from file, environment and command line."""
