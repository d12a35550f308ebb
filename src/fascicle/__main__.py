"""`python -m fascicle` is the command line."""

from fascicle.cli import main

main()
