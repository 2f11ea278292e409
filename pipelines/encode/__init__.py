"""Encoding a film with many small workers whose chunks join into one VP8 stream, after ExCamera (Fouladi et al. 2017).

- `plan` says as data who encodes which frames and hears from whom.
- `worker` is what each of them does, written against `context`: fetch, send, receive, store.
- `local` runs plan and workers with the processes of this machine.
- `join` makes one file of the chunks and the input's sound and subtitles.
- `record` is what a job lets be told of itself afterwards, when each chunk was where and what came of each frame.
"""
