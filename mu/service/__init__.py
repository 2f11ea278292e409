"""Jobs from a queue, one coordinator for each, workers in Lambda: what runs on the coordinator's machine.

- `requests` is what may be asked: a job, or its end; plain data. `client` asks it, for the API's function and users.
- `launcher` starts workers as fast as Lambda lets it.
- `vault` keeps in S3 what another machine needs to go on, `status` says there what became of a job.
- `service` puts them together around `mu.server`; `python -m mu.coordinator` runs it.
"""

__all__: list[str] = []
