"""`--report`: one page that shows how a film was encoded, complete in itself.

- `facts` gathers what the diagrams draw and the table lists, `pictures` takes frames out of the output.
- `peer` encodes the film once more with libvpx alone, to have something to compare with.
- `page` puts text, numbers, style and program (the `.css` and `.js` beside it) into one HTML file.
"""
