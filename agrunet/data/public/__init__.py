"""The public data sets, PASTIS and Munich (MTLCC), as their authors laid them out. It may import the rest of `data`."""
