"""`python -m inctrl` is the command `inctrl`."""

from inctrl.cli.main import main

main()
