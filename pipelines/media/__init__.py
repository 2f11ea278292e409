"""Video files in and out: `read` gives upright 8-bit pictures of any file, `audio` its sound, `matroska` writes both."""
