"""A synthetic farmland: parcels, rotations, weather, growth and reflectance. Imports the random numbers beside it."""
