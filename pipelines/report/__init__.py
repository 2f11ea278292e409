"""The page of `fastslow encode --report`, complete in itself.

- `page` shows how a film was encoded: `facts` gathers what its diagrams draw and its table lists, `pictures` takes
  frames out of the output, `peer` encodes the film once more with libvpx alone, to have something to compare with.
- `machine` says what ran the job, `file` where a page goes.
"""
