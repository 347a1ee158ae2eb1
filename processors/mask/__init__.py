"""Which pixels of an acquisition are clear, at both levels. Imports `cube`."""
