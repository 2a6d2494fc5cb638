"""`python -m moongate` is `moongate`."""

from moongate.cli import main

main()
