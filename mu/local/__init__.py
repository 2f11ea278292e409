"""Jobs on the processes of this machine.

    your process ── runs the coordinator, computes nothing
      │   │
      │   └─ fork server ── has nothing but what every worker needs; forks them
      │           └─ worker, worker, ...
      └──────────────┘ a Unix socket to each: frames, and open files with them

- `run` carries out what the coordinator of a job says; `processes` starts and ends the workers.
- `forkserver` is what forks them, `worker` what they run.
- `channel` is how they talk; `memory` holds objects and messages without copying them about.
"""
