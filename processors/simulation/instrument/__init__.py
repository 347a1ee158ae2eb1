"""The MultiSpectral Instrument: its spectral responses, and what it makes of light. Imports the random numbers beside it."""
