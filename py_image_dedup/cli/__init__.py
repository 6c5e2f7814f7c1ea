"""The command line: arguments become settings, a run, a report, an exit code."""
