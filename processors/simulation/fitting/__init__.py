"""Traits of the simulated crops fitted to statistics of real regions."""
