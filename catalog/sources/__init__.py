"""Sources of products: one module or folder per kind of archive, all behind `protocol.Source`, found by name in `registry`.

Imports `catalog.storage` and the plain types of `catalog`; the sources don't know each other, but for what is shared beside them.
"""
