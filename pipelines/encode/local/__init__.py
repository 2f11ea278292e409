"""Running a plan with the processes of this machine.

    reader ──pictures──> runner ──chunks──> worker, worker, ...
                           │    <─states─>
                           └──results──> join

- `scheduler` decides who does what next; it knows no process, no socket and no clock.
- `runner` starts the processes and carries its decisions out; `channel` is how they talk, `child` what they run.
"""
