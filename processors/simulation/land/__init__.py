"""A synthetic farmland: parcels, rotations, weather, growth and reflectance. Imports the instrument and the random numbers beside it."""
