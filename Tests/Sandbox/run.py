"""Runs every test of this folder and says at the end what was skipped and why."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import support  # noqa: E402

if __name__ == "__main__":
    try:
        program = unittest.main(
            module=None,
            argv=[sys.argv[0], "discover", "-s", os.path.dirname(os.path.abspath(__file__)), *sys.argv[1:]],
            verbosity=2,
            exit=False,
        )
    finally:
        if not support.leftovers():
            shutil.rmtree(support.scratch(), ignore_errors=True)
    for test, reason in program.result.skipped:
        print(f"skipped: {test.id()}: {reason}", file=sys.stderr)
    sys.exit(not program.result.wasSuccessful())
