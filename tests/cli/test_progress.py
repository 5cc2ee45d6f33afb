import io
import json

import pytest
from rich.console import Console
from rich.progress import Progress

from fragility.cli import json_lines, progress
from fragility.execution.events import (
    BatchFinished,
    BatchProgress,
    BatchStarted,
    Event,
    Failure,
    PlanReady,
    RunFinished,
    RunSummary,
)

PLAN = PlanReady("quickstart", "r1", {"train": 2, "retrain": 100}, {"train": 2, "retrain": 0}, 29.0)
SUMMARY = RunSummary(
    run_id="r1",
    study="quickstart",
    ok=99,
    cached=2,
    failed=1,
    skipped=0,
    seconds=3.0,
    predicted_seconds=29.0,
    peak_memory=10**9,
    failures=(Failure("t", "retrain", "iris", "diverged"),),
    interrupted=False,
)
EVENTS: list[Event] = [
    PLAN,
    BatchStarted("b", "retrain", 100),
    BatchProgress("b", "retrain", 0.5),
    BatchFinished("b", "retrain", 99, 1, 0, 3.0),
    RunFinished(SUMMARY),
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_when_a_kind_is_done_and_now_and_then() -> None:
    lines: list[str] = []
    clock = Clock()
    show = progress.Plain(lines.append, clock)
    for event in EVENTS[:2]:
        show(event)
    for second in range(1, 41):
        clock.now = float(second)
        show(BatchProgress("b", "retrain", second / 50))
    clock.now = 50.0
    show(EVENTS[3])
    assert lines[0] == "quickstart: 102 tasks, 2 done before, about 29 s  (run r1)"
    assert [line.split() for line in lines[1:]] == [
        ["retrain", "30/100", "15", "s"],
        ["retrain", "60/100", "30", "s"],
        ["retrain", "100/100", "50", "s"],
    ]


def test_a_finished_study_says_that_there_is_nothing_to_do() -> None:
    done = PlanReady("q", "r", {"train": 2}, {"train": 2}, None)
    assert progress.headline(done) == "q: all 2 tasks done before, nothing to compute"


def test_a_tally_counts_running_batches_by_their_fraction_and_never_twice() -> None:
    tally = progress.Tally(PLAN)
    for event in EVENTS[1:3]:
        tally.follow(event)
    assert tally.reached("retrain") == 50
    tally.follow(EVENTS[3])
    assert tally.reached("retrain") == 100
    assert tally.reached("train") == 2


def test_the_live_bars_end_full() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with Progress(console=console, auto_refresh=False) as bars:
        show = progress.Live(bars)
        for event in EVENTS:
            show(event)
        assert [(bar.description, bar.completed, bar.total) for bar in bars.tasks] == [
            ("train", 2, 2),
            ("retrain", 100, 100),
        ]
    assert "102 tasks" in screen.getvalue()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 10, None, None), "0/10"),
        ((10, 10, None, None), "10/10  done before"),
        ((5, 10, 2.0, None), "5/10"),
        ((5, 10, 2.0, 2.5), "5/10  2.5/s  2.0 s left"),
        ((1820, 1820, 21.0, 90.0), "1,820/1,820  21 s"),
    ],
)
def test_the_words_behind_a_bar(
    arguments: tuple[float, float, float | None, float | None], words: str
) -> None:
    assert progress.facts(*arguments) == words


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listener(quiet=True) as show:
        for event in EVENTS:
            show(event)
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.listener(quiet=False) as show:
        for event in EVENTS:
            show(event)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("quickstart: 102 tasks")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for event in EVENTS:
        json_lines.show(event)
    finished = EVENTS[-1]
    assert isinstance(finished, RunFinished)
    json_lines.finish(finished.summary, [])
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [o["event"] for o in objects] == [
        "plan_ready",
        "batch_started",
        "batch_progress",
        "batch_finished",
        "run_finished",
    ]
    assert objects[0]["totals"] == {"train": 2, "retrain": 100}
    assert objects[-1]["summary"]["failures"][0]["message"] == "diverged"
