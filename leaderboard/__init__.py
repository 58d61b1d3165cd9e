"""From records to tables and pages; it never trains, and torch is not imported here.

::

    bench.records ──► tables (pure: records -> rows) ──► render (rows -> Markdown, terminal, data)
                      publish (a store's records -> results/)
                      reported (numbers printed in papers, never in a measured column)
"""
