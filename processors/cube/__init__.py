"""The Zarr cells that hold pixels: their layout, reading and writing them, listing and exporting them.

Imported by every stage; imports no other stage.
"""
