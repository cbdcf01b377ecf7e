"""Measures claims: `python launch.py --exp=NAME`; alone, it says what it can do."""

import sys

SETUP = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt"

if __name__ == "__main__":
    try:
        from experiments.harness.command import main

        sys.exit(main(sys.argv[1:]))
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith(("experiments", "cnn_jax")):
            raise
        print(f"{missing.name} is not installed; set up with: {SETUP}", file=sys.stderr)
        sys.exit(3)
