"""The map in a delivery's report: pixels, outlines, curves and pictures packed into one page, and the browser code that shows them."""
