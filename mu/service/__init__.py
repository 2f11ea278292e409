"""Jobs from a queue, one coordinator for each, workers in Lambda: what runs on the coordinator's machine.

- `requests` is what may be asked: a job, or its end; plain data, which the API's function reads too.
- `launcher` starts workers as fast as Lambda lets it.
- `vault` keeps in S3 what another machine needs to go on, `status` says there what became of a job.
- `service` puts them together around `mu.server`; `python -m mu.coordinator` runs it.
"""

__all__: list[str] = []
