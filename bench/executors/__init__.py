"""Executors: where the pieces of a run are done.

A run is a graph of nodes (:mod:`bench.executors.graph`); what a node means stands in
:mod:`bench.worker`. An executor only decides where and when, and hands every event to the caller,
who alone writes records.
"""

from bench.executors.graph import Agenda, build
from bench.executors.local import Pool, run_here

__all__ = ["Agenda", "Pool", "build", "run_here"]

EXECUTORS = ("local", "ray")
"""What ``--executor`` may name."""
