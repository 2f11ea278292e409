"""The commands behind every number in docs/benchmarks.md; `python -m bench` runs them all."""
