"""Windows over an area, patches read through them, and the folders of training patches with their labels.

Imports `cube`, `season` and the engine.
"""
