"""Video files in and out: `read` gives upright 8-bit pictures of any, `audio` the sound, `matroska` writes both."""
