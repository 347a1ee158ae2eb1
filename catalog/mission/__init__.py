"""The simulated upstream: archives whose pixels were made, not measured. Everything it writes says so."""
