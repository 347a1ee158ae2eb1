"""Products of Sentinel Hub: searched in its Catalog API, their pixels asked of its Process API."""
