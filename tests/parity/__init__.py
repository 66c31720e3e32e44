"""Agreement with the official releases, checked without their files.

Each network here has the configuration of a recorded tiny official network. ``python -m parity`` first loads the
official weights into it and compares with the official outputs; only if they agree does it fill the same network by a
closed formula and write down what comes out, as a few numbers. The tests then need those numbers alone.
"""
