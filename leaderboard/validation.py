"""What speaks against a record, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.errors import BenchError
from bench.recipes import Recipe
from bench.records import FINAL, Environment, Record
from bench.trials import Distillation, Trial
from leaderboard.images import fitting
from leaderboard.installed import RulesHash
from leaderboard.planned import unplanned


def objections(record: Record, rules_hash: RulesHash, correct: Sequence[bytes]) -> Iterator[str]:
    """Everything that speaks against publishing a record, each as the rest of a sentence.

    Args:
        record: the record.
        rules_hash: the hashes of the installed protocols.
        correct: all packed per-image correctness that is stored of its trial; one must fit if it
            states an accuracy.
    """
    where = record.trial
    if where.split != "test":
        yield f"is of the {where.split} split; only results on the test split are published."
    if record.status not in FINAL:
        yield f"ended {record.status}, which another attempt may not; run it again."
    if record.status == "ok" and not record.metrics:
        yield "is ok but states no metric."
    if against := uncommitted(record.environment):
        yield f"{against} and run it again."
    known = rules_hash(where.protocol, where.version, where.tier)
    if known is None:
        yield (
            f"follows {where.protocol} v{where.version} ({where.tier}), which is not installed; "
            f"contribute the protocol first."
        )
    elif against := objection(record, known, correct) or unplanned(record):
        yield against


def uncommitted(ran: Environment) -> str:
    """What was not right with the code, as the rest of a sentence; ``""`` if it was a commit's."""
    if ran.committed:
        return ""
    if ran.commit:
        return "was made from a checkout with uncommitted changes; commit them"
    return (
        "was made by an installation that knows no commit; install it with `pip install -e .` in a "
        "git checkout"
    )


def objection(record: Record, rules_hash: str, correct: Sequence[bytes]) -> str:
    """How a record contradicts its rules or itself, as the rest of a sentence; ``""`` if nowhere.

    Args:
        record: the record.
        rules_hash: hash of its protocol's rules.
        correct: all packed per-image correctness that is stored of its trial; one must fit if it
            states an accuracy.
    """
    if record.protocol_hash != rules_hash:
        where = record.trial
        return (
            f"was made under other rules than {where.protocol} v{where.version} ({where.tier}): "
            f"hash {record.protocol_hash[:12]}, not {rules_hash[:12]}; run it again."
        )
    trial = trial_of(record)
    if trial is None or trial.id != record.id:
        return "has an id that is not the digest of its coordinates; run it again."
    if record.trial.distillation_seed != record.trial.evaluation_seed:
        return "repeats the student alone; a trial distils and evaluates with one seed."
    if "accuracy" not in record.metrics or fitting(correct, record) is not None:
        return ""
    if correct:
        return "states another accuracy than its per-image correctness; run it again."
    return (
        "states an accuracy without its per-image correctness; add the line that `bench run` wrote "
        "to the file .correct.jsonl beside it."
    )


def trial_of(record: Record) -> Trial | None:
    """The trial that the record's coordinates describe; ``None`` where its recipe is none."""
    where, method = record.trial, record.method
    try:
        recipe = Recipe(epochs=1).with_changes(dict(record.recipe))
    except (BenchError, TypeError):
        return None
    return Trial(
        protocol=where.protocol,
        version=where.version,
        protocol_hash=record.protocol_hash,
        tier=where.tier,
        track=where.track,
        distillation=Distillation(
            method=where.distilled_by or method.name,
            version=method.version,
            parameters=method.parameters,
            dataset=where.dataset,
            checksum=record.dataset.checksum,
            preprocessing=record.dataset.preprocessing,
            split=where.split,
            budget=where.distilled_for or where.budget,
            network=where.network,
            seed=where.distillation_seed,
        ),
        architecture=where.architecture,
        recipe=recipe,
        seed=where.evaluation_seed,
        deployed=where.budget if where.distilled_for else None,
        merged_seeds=where.merged_seeds,
        evaluates=method.name if where.distilled_by else None,
        preset=method.preset,
    )
