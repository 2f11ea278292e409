"""What jobs there are.

`encode` makes VP8 of any video with many small workers, and `quality` measures it; `classify` says what is in frames.
"""
