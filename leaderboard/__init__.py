"""From records to tables and pages; it never trains, and torch is not imported here.

::

    record files ──► reading ──► tables (rows, ranks) ──► markdown, render, formats, site
                                 studies (protocols' own)
                                 parquet (every record)
    profiles ──► works ──► efficiency (what methods cost)

    reported, printed_costs    numbers printed in papers, never in a measured column
    publish, profile_files     a store's records and profiles appended to what is published
    submission                 a contribution judged as publishing would judge it
    regression                 the gate that holds accuracy, memory and time against a baseline
"""
