"""What jobs there are: `pipelines.encode` makes VP8 of any video with many small workers; `quality` measures it."""
