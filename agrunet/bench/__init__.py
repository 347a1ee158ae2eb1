"""The benchmark of networks: speed, memory and size of AgrUNet and its rivals in one run, beside the talk's figures.

It may import everything else of this library; only commands import it.
"""
