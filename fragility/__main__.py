"""Lets `python -m fragility` do what `fragility` does."""

from fragility.cli.main import main

if __name__ == "__main__":
    main()
