"""Peak memory and time of methods: measured on the device at hand, forecast for any other.

::

    subject   what is profiled, under which rules
    phases    prepare, distill, evaluate as equal steps on any device
    stand_ins images and experts of the right shape
    measured  a fresh process a figure
    forecast  the same steps on tensors without data, kept account of by a ledger
    rounds    loops that are cut short
    looks     how closely a forecast looks
    roofline  from counted work to seconds
    capacity  whether it fits, and what would make it fit
    records   figures as JSON lines
"""
