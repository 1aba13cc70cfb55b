"""`python -m leanformer` is `leanformer`."""

from leanformer.cli.main import main

main()
