"""The public data sets, PASTIS and Munich (MTLCC), as their authors laid them out."""
