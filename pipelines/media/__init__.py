"""Video files in and out: `read` gives upright 8-bit pictures of any, `others` what goes beside; `matroska` writes all.

- `source` is what is known of a file as plain data: `read`, `labels`, `orientation` and `complete` find it out.
- `audio` and `subtitles` give packets as the output holds them; `cue_text` is the text of the latter;
  `carried` takes both to another machine.
- `matroska` puts packets into clusters, `matroska_head` tells of the tracks before them, in elements of `ebml`.
- `packets` reads VP8 as it is stored.
- `film` looks at a file here and there, `jpeg` makes pictures of frames.
"""
