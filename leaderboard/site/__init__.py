"""The leaderboard as a static site: pages that open from disk, without a server or a network.

::

    files = site.build(tables, Sources(records=...))   every file as bytes; reads no clock
    output.write(files, folder)                        on disk; what an earlier build left is gone

Pages are Jinja2 templates with autoescape on; every text passes :func:`leaderboard.wording.line`
on its way, so that no string of a record is markup, script or an invisible character. JSON inside
pages is escaped as well. Only :mod:`leaderboard.site.gallery` needs torch.
"""

from __future__ import annotations

from leaderboard.site.builder import Sources, build

__all__ = ["Sources", "build"]
