"""Synthetic sets from and for other tools: ``read`` anything the field writes, ``write`` ours."""

from bench.exchange.exporters import TARGETS, write
from bench.exchange.importers import Imported, read
from bench.exchange.pixel_space import SPACES

__all__ = ["SPACES", "TARGETS", "Imported", "read", "write"]
