"""`python -m biometrics.cli` is `biometrics`."""

from biometrics.cli.app import main

main()
