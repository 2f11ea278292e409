"""What all HTML pages of the house have in common.

- `document` puts a page together, `words` is how pages write numbers.
- `page.css` is their look, `plot.js` a diagram to zoom into, `table.js` the table of everything.
"""
