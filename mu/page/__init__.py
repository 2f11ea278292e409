"""The page of a job: while it runs, served by its coordinator; afterwards a file that is complete in itself."""
