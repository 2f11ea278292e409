"""The coordinator's mind: events in, instructions out; no socket, no process, no file, no clock.

- `events` is what it is told, `instructions` what it wants done.
- `states` is the table of what may become of tasks, runs and workers.
- `coordinator` holds a job and decides.
"""
