"""Where things are kept and how they are reached: the store, files and archives of this machine and of buckets, credentials.

May be imported by everything above it; imports the errors, the grid and the products of `catalog` only.
"""
