"""Storage, and how it is reached: the store, the client of object stores, trees of files in archives, credentials.

May be imported by everything above it; imports the errors, the grid and the products of `catalog` only.
"""
