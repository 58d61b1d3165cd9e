"""The command line: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import environment

ABLATION = ["run", "--protocol", "ablation"]
SMALL = ["run", "--method", "random", "--budget", "1", "--seeds", "2", "--track", "standard"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--method", "dmm"], "No method named 'dmm'. Did you mean 'dm'?"),
        (["run", "--protocol", "ipc-gird"], "Did you mean 'ipc-grid'?"),
        (["run", "--dataset", "digit"], "Did you mean 'digits'?"),
        (["run", "--tier", "quik"], "Did you mean 'quick'?"),
        (["run", "--budget", "0"], "'0' is no budget"),
        (["run", "--budget", "many"], "'many' is no budget"),
        (["run", "--seeds", "99"], "publishes 20 seeds"),
        (["run", "--set", "dm.lr_image=1"], "Did you mean 'lr_images'?"),
        (["run", "--set", "dm.lr_images=fast"], "give a value of type float"),
        (["run", "--set", "nonsense"], "method.parameter=value"),
        (["run", "--set", "iterations=5"], "put it before: method.iterations=5"),
        (["run", "-m", "dm,dc", "--set", "iterations=5"], "put it before: dm.iterations=5"),
        (["run", "-m", "dm", "--set", "lr_image=1"], "Did you mean 'lr_images'?"),
        (["run", "--set", ".iterations=5"], "method.parameter=value"),
        (
            ["run", "--set", "dm.iterations=5", "--set", "dm.iterations=6"],
            "--set gives dm.iterations twice, 5 and 6; give it once",
        ),
        (["run", "--sweep", "dm.lr_images=1,2"], "ipc-grid takes no --sweep; leave it out"),
        (["run", "--network", "mlp"], "ipc-grid takes no --network; leave it out"),
        ([*ABLATION, "--sweep", "lr_images=1,2"], "put it before: method.lr_images=1,2"),
        ([*ABLATION, "--sweep", "dm.lr_images="], "not of the form parameter=value,value"),
        ([*ABLATION, "--sweep", "=1"], "not of the form parameter=value,value"),
        ([*ABLATION, "--sweep", ".lr_images=1"], "not of the form parameter=value,value"),
        ([*ABLATION, "--sweep", "dmm.lr_images=1"], "Did you mean 'dm'?"),
        ([*ABLATION, "--sweep", "dm.lr_image=1,2"], "Did you mean 'lr_images'?"),
        ([*ABLATION, "--sweep", "dm.lr_images=1,fast"], "give a value of type float"),
        ([*ABLATION, "-m", "random"], "nothing to sweep of random in the quick tier"),
        (["run", "-p", "cross-arch", "--network", "mlpp"], "Did you mean 'mlp'?"),
        (["run", "-p", "cross-arch", "--network", "mlp@x"], "give a size such as vgg11@32"),
        (["run", "-p", "cross-arch", "--track", "native"], "has no native track in the quick"),
        (["run", "--track", "nativ"], "Did you mean 'native'?"),
        (["run", "--device", "cuda:99", *SMALL[1:]], "There is no device 'cuda:99' here"),
        (["run", "--dataset", "mnist"], "bench data fetch mnist"),
        (["run", "--executor", "slurm"], "No executor named 'slurm'"),
        (["list", "method"], "Did you mean 'methods'?"),
        (["evaluate", "missing.pt", "--dataset", "digits"], "missing.pt"),
        (["export", "missing.safetensors", "--to", "pt"], "missing.safetensors"),
    ],
)
def test_impossible_wishes_get_one_sentence_and_exit_2(
    bench: Any, arguments: list[str], sentence: str
) -> None:
    code, out, err = bench(*arguments)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["no-such-command"], ["run", "-x"]])
def test_wrong_usage_is_exit_2(bench: Any, arguments: list[str]) -> None:
    assert bench(*arguments)[0] == 2


@pytest.mark.parametrize("command", ["run", "evaluate", "export", "list", "data", "leaderboard"])
def test_every_help_names_the_command_and_an_example(bench: Any, command: str) -> None:
    code, out, _ = bench(command, "--help")
    assert code == 0
    assert command in out
    assert "Example" in out or command in ("data", "leaderboard")


def test_run_records_once_and_answers_from_the_store_afterwards(bench: Any) -> None:
    code, out, _ = bench(*SMALL, "--jobs", "1")
    assert code == 0
    assert "2 trials run now; 0 were recorded before" in out
    code, out, err = bench(*SMALL)
    assert code == 0
    assert "Nothing was left to do; 2 were recorded before" in out
    assert err == ""


def test_run_says_in_one_line_that_its_records_cannot_be_published(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "describe", environment.describe.__wrapped__)
    monkeypatch.setattr(environment, "commit", lambda: "")
    _, _, err = bench(*SMALL, "--jobs", "1", "--json")
    told = [line for line in err.splitlines() if "published" in line]
    assert told == [
        "2 of 2 records cannot be published: their installation knows no commit; "
        "`pip install -e .` in a git checkout does."
    ]


def test_run_prints_one_json_object(bench: Any) -> None:
    code, out, _ = bench(*SMALL, "--jobs", "1", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["ran"] == 2
    assert {record["status"] for record in answer["records"]} == {"ok"}


def test_run_prints_the_protocols_own_tables(bench: Any) -> None:
    tiny = [*ABLATION, "--seeds", "1", "--track", "standard", "--sweep", "dm.iterations=1,2"]
    code, out, _ = bench(*tiny, "--jobs", "1", "--json")
    (study,) = json.loads(out)["studies"]
    assert code == 0
    assert study["title"] == "dm by iterations: digits, ipc 1, standard track"
    assert [row[0] for row in study["rows"]] == ["1", "2"]
    code, out, _ = bench(*tiny)
    assert code == 0
    assert "dm (iterations=2)" in out
    assert "dm by iterations: digits, ipc 1, standard track" in out


def test_dry_run_does_nothing(bench: Any, tmp_path: Path) -> None:
    code, out, _ = bench(*SMALL, "--dry-run", "--json")
    plan = json.loads(out)
    assert code == 0
    assert (plan["trials"], plan["done"]) == (2, 0)
    assert plan["rows"][0]["evaluate_seconds"] > 0
    assert not (tmp_path / "runs").exists()


def test_dry_run_knows_published_data_before_they_are_read(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert bench(*SMALL, "--jobs", "1")[0] == 0
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "empty"))
    code, out, _ = bench(*SMALL, "--dry-run", "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["done"] == plan["trials"] > 0
    assert plan["unread"] == []


def test_dry_run_says_what_was_never_read(bench: Any) -> None:
    missing = [*SMALL, "--dataset", "mnist,digits", "--dry-run"]
    assert json.loads(bench(*missing, "--json")[1])["unread"] == ["mnist"]
    assert "Never read on this machine: mnist;" in bench(*missing)[1]
    assert "Never read" not in bench(*SMALL, "--dry-run")[1]


def test_dry_run_counts_no_distillation_that_the_store_holds(bench: Any) -> None:
    assert bench(*SMALL, "--jobs", "1")[0] == 0
    other = ["run", "-p", "label-robust", *SMALL[1:], "--dry-run", "--json"]

    def distilling(*more: str) -> float:
        rows = json.loads(bench(*other, *more)[1])["rows"]
        (row,) = [row for row in rows if row["method"] == "random"]
        return row["distill_seconds"] + row["unmeasured"]

    assert distilling() == 0
    assert distilling("--fresh") > 0


def test_validation_split_uses_selection_seeds_and_is_told(bench: Any) -> None:
    code, out, _ = bench(*SMALL, "--jobs", "1", "--split", "validation", "--json")
    records = json.loads(out)["records"]
    assert code == 0
    assert {record["trial"]["split"] for record in records} == {"validation"}
    assert min(record["trial"]["evaluation_seed"] for record in records) >= 1000


def test_failed_trial_is_exit_1_and_others_go_on(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from methods.random_real import RandomReal

    def fail(self: RandomReal, state: object) -> None:
        raise RuntimeError("the method broke")

    monkeypatch.setattr(RandomReal, "result", fail)
    wanted = ["run", "--budget", "1", "--seeds", "1", "--track", "standard", "--jobs", "1"]
    code, out, err = bench(*wanted, "--method", "random,whole")
    assert code == 1
    assert "the method broke" in err
    assert "whole" in out


def test_a_trial_that_went_wrong_before_is_exit_1_too(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.errors import Diverged
    from methods.random_real import RandomReal

    def diverge(self: RandomReal, state: object) -> None:
        raise Diverged("the images are NaN")

    monkeypatch.setattr(RandomReal, "result", diverge)
    for now in ("2 trials run now", "Nothing was left to do"):
        code, out, _ = bench(*SMALL, "--jobs", "1")
        assert code == 1
        assert f"{now}; " in out
        assert "random: 2 × diverged, the images are NaN." in out
        assert "2 of 2 trials went wrong" in out
    code, out, _ = bench(*SMALL, "--json")
    assert code == 1
    assert json.loads(out)["mishaps"] == ["random: 2 × diverged, the images are NaN."]


def test_an_interrupted_run_says_what_stands(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import runner

    monkeypatch.setattr(runner, "execute", interrupted_after_one(runner.execute))
    code, _, err = bench(*SMALL, "--jobs", "1")
    assert code == 130
    assert err.endswith("Interrupted; 1 of 2 trials is recorded, the same command goes on.\n")


def interrupted_after_one(execute: Any) -> Any:
    """``runner.execute`` by a user who interrupts it when the first trial has ended."""
    from bench.worker import Finished

    def stopped(plan: Any, handle: Any, estimates: Any = None) -> Any:
        def then_stop(event: Any) -> None:
            handle(event)
            if isinstance(event, Finished):
                raise KeyboardInterrupt

        return execute(plan, then_stop, estimates)

    return stopped


def test_two_datasets_of_one_name_are_refused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import datasets

    own = replace(datasets.describe("digits"), name="mine")
    monkeypatch.setattr(datasets, "describe", lambda *_, **__: own)
    code, out, err = bench("run", "--dataset", "mine=x", "--dataset", "mine=y")
    assert (code, out) == (2, "")
    assert "--dataset gives mine twice, as 'mine=x' and as 'mine=y'" in err


def test_any_command_says_that_it_was_interrupted(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import datasets

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "facts", interrupt)
    assert bench("data", "status") == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("command", ["check", "compare", "submit"])
def test_commands_of_plugins_offer_no_completion_of_their_own(bench: Any, command: str) -> None:
    code, out, _ = bench(command, "--help")
    assert code == 0
    assert "completion" not in out


@pytest.mark.parametrize("kind", ["methods", "protocols", "datasets", "networks"])
def test_lists_are_json_too(bench: Any, kind: str) -> None:
    code, out, _ = bench("list", kind, "--json")
    assert code == 0
    assert json.loads(out)["rows"]


def test_export_and_evaluate_read_what_was_distilled(bench: Any, tmp_path: Path) -> None:
    bench(*SMALL, "--jobs", "1")
    artifact = next((tmp_path / "runs" / "artifacts").glob("*.safetensors"))
    code, out, _ = bench("export", str(artifact), "--to", "parquet", "-o", "set")
    assert (code, out) == (0, "set.parquet\n")
    score = ["--dataset", "digits", "--seeds", "1", "--epochs", "2", "--json"]
    ours, theirs = (bench("evaluate", text, *score) for text in (str(artifact), "set.parquet"))
    assert ours[0] == theirs[0] == 0
    rows = [json.loads(answer[1])["rows"][0]["accuracies"] for answer in (ours, theirs)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("arguments", [["--help"], ["list", "methods"], ["run", "--help"]])
def test_answering_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from bench.cli import main\n"
        f"sys.argv = ['bench', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.strip() == "False"


def test_completion_scripts_are_offered(tmp_path: Path) -> None:
    environment = os.environ | {"_BENCH_COMPLETE": "source_bash"}
    command = [str(Path(sys.executable).parent / "bench")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "_BENCH_COMPLETE" in done.stdout


def test_students_are_trained_by_the_strategy_asked_for(bench: Any) -> None:
    code, out, _ = bench(*SMALL, "--jobs", "1", "--strategy", "vectorised", "--json")
    assert code == 0
    strategies = {one["environment"]["strategy"] for one in json.loads(out)["records"]}
    assert strategies == {"vectorised"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strategy", "abacus"], "abacus"),
        (["--strategy", "vectorised", "-p", "cross-arch"], "dropout"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused_before_any_work(
    bench: Any, tmp_path: Path, more: list[str], said: str
) -> None:
    code, _, err = bench(*SMALL, "--jobs", "1", *more)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
