"""Our own sets inside other containers: the tensors, the header as JSON and their checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench import artifacts, files
from bench.data import SyntheticSet
from bench.errors import BadFile
from bench.exchange.found import Found

LAYOUT = "a synthetic set of this suite"

EXACT_FILE = "synthetic.safetensors"
"""The exact set in an exported folder, beside the pictures for eyes."""


def seal(synthetic: SyntheticSet) -> tuple[str, str]:
    """The header as JSON text and the digest of header and tensors, to be stored beside them.

    Raises:
        InvalidValue: the set has no header.
        ContractError: the set contradicts its header.
    """
    header = artifacts.checked(synthetic).header
    assert header is not None
    described = artifacts.header_as_dict(header)
    sha256 = files.tensors_digest(artifacts.tensors_of(synthetic), described)
    return files.canonical_json(described), sha256


def restore(tensors: Mapping[str, Tensor], header: object, sha256: object, path: Path) -> Found:
    """The set that was sealed, bit for bit.

    Raises:
        BadFile: the header is broken, or anything differs from what was sealed.
    """
    try:
        described = json.loads(str(header))
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{path} has a header that is no JSON: {error}.") from error
    if not isinstance(described, dict):
        raise BadFile(f"{path} has a header that is no JSON object.")
    parsed = artifacts.header_from_dict(described, path)
    if files.tensors_digest(tensors, described) != sha256:
        raise BadFile(f"{path} is damaged: its content does not match its checksum.")
    return found(artifacts.from_tensors(tensors, parsed, path), path)


def found(synthetic: SyntheticSet, path: Path) -> Found:
    """A checked set of our own as a finding."""
    return Found(
        layout=LAYOUT,
        images=synthetic.images,
        labels=synthetic.labels,
        learning_rate=synthetic.learning_rate,
        header=synthetic.header,
        files=(path,),
    )
