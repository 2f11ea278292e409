"""The `fastslow` command: arguments in, progress on stderr, results on stdout, exit codes."""
