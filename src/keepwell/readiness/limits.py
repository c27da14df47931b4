"""How old a proof may be, days. What is older does not count."""

SEEN_DAYS = 14  # what each cycle does
BUILT_DAYS = 400  # what each build does: a model that is retrained once a year keeps it
PROVED_DAYS = 90  # builds repeated on purpose
REHEARSED_DAYS = 35  # the way back
REPLAYED_DAYS = BUILT_DAYS  # answers made again, which each build does
