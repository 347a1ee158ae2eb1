"""AgrUNet as a library: networks, data, training, checkpoints, inference and their benchmark; `python -m agrunet` is its command line.

It imports no other room.
"""
