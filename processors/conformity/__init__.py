"""Declared parcels against the crop map: what each was declared as, how probable that is by the season, and the verdict."""
