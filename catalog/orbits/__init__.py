"""Positions of satellites and sun: elements, ground track, swath, tiles, angles, downlink and the timeline of an acquisition.

Real knowledge without a file read or written but elements; imports the errors, the grid and the products of `catalog` only.
"""
