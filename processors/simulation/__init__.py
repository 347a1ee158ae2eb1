"""The simulated upstream, all of it synthetic: a mission with a land, a sky and an instrument, its products, and scores against its truth.

Imports `catalog`, and of the stages what its training sets and scores are made with. Nothing imports it but commands.
"""
