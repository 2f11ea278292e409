"""What jobs there are: `pipelines.encode` turns any video into VP8 by many small workers; `quality` measures the result."""
