"""``bench check``: a small pinned grid, measured again and held against a committed baseline.

::

    grid (which cells) ──► measurement (run them) ──► judgement (against the baseline) ──► command
                               kernel (what times are relative to)
"""
