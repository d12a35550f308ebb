"""Arrays become numbers: every score that fascicle reports, as plain numpy functions.

`reference` stands before `estimate` everywhere. What cannot be defined is NaN, never a guess:
see `counts` for the three ratios that all modules share.
"""
