"""Pages that show how a job went, complete in themselves; and that of `fastslow encode --report`.

- `document` is what all pages have in common, `words` how they write numbers, `machine` what ran the job; `page.css`,
  `plot.js` (diagrams to zoom into) and `table.js` are their look and their programs.
- `page` shows how a film was encoded: `facts` gathers what its diagrams draw and its table lists, `pictures` takes
  frames out of the output, `peer` encodes the film once more with libvpx alone, to have something to compare with.
"""
