"""What the decline benchmark promises: a seed makes the same rows, a fault begins when it is said to, the scores mean what they say."""

import numpy as np
import pandas as pd
import pytest
from bound import delay
from data_streams import MACHINES, generated, readings
from faults import FAULTS, inject
from protocol import Event, Monitor
from replay import load, play, save
from scenarios import Spec, Truth, make_scenario, specs
from scoring import grade, summary
from threadpoolctl import threadpool_limits

WEEK = np.timedelta64(7, "D")
START = np.datetime64("2020-01-06", "ns")
COLUMN = {"new_category": "grease", "swapped": ("vibration", "pressure"), "label_shift": None, "mix": None}


@pytest.fixture(autouse=True, scope="module")
def _one_core():
    """Tests run beside each other: threads that wait for a core would make a tree take seconds."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def machines():
    return generated(MACHINES, [5])


@pytest.fixture(scope="module")
def scenario():
    return make_scenario(Spec("machines", "scaled", 2, 7))


def test_a_seed_makes_the_same_scenario(scenario):
    again = make_scenario(scenario.spec)
    pd.testing.assert_frame_equal(again.rows, scenario.rows)
    assert np.array_equal(again.answers, scenario.answers)
    assert again.truth == scenario.truth


def test_another_seed_makes_another_stream(scenario):
    other = generated(MACHINES, [6])
    assert not other.production["vibration"].head(50).equals(scenario.stream.production["vibration"].head(50))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_rows_before_its_onset_alone_and_changes_some_after(fault, machines):
    onset = machines.start + machines.batch * 40
    rows = inject(machines, fault, onset, COLUMN.get(fault, "vibration"), 2, np.random.default_rng(3))
    clean = machines.production
    seen = [*machines.columns, "time", "y"]
    pd.testing.assert_frame_equal(rows.loc[rows["time"] < onset, seen], clean.loc[clean["time"] < onset, seen])
    after = [frame.loc[frame["time"] >= onset, seen].reset_index(drop=True) for frame in (rows, clean)]
    assert not after[0].equals(after[1])
    assert rows["time"].is_monotonic_increasing


def test_a_fault_on_a_column_that_the_model_ignores_changes_no_answer():
    scenario = make_scenario(Spec("machines", "harmless", 2, 7))
    truth = scenario.truth
    assert truth.expect == "quiet"
    assert set(truth.columns).isdisjoint(scenario.stream.model.features)
    assert truth.loss_with == truth.loss_without


def test_every_scenario_is_named_once():
    names = [spec.id for spec in specs([1, 2])]
    assert len(names) == len(set(names)) == 240


def test_the_bundled_readings_end_before_the_instrument_break_and_hold_no_impossible_pressure():
    assert len(readings()) == 7_900
    assert readings()["sea_level_pressure"].max() < 1_100


def test_files_bring_a_case_back_without_its_truth(scenario, tmp_path):
    save(scenario, tmp_path)
    case = load(tmp_path)
    assert list(case.production.X.columns) == scenario.stream.columns
    assert np.array_equal(case.production.p, scenario.answers)
    assert len(case.edges) == 101
    assert str(scenario.truth.onset)[:16] not in "".join(path.read_text("utf-8") for path in tmp_path.glob("*.json"))


class Oracle(Monitor):
    """Knows the answer."""

    def __init__(self, truth):
        self.truth = truth

    def update(self, batch_X, batch_p, labels, timestamps, window):
        truth = self.truth
        if truth.expect != "alarm" or window[1] <= truth.onset:
            return []
        return [Event("decline", truth.onset, [(truth.kind, truth.columns[0] if truth.columns else None)])]


def graded(scenario, monitor, tmp_path):
    save(scenario, tmp_path)
    said, _ = play(load(tmp_path), monitor, labels=True)
    return grade(scenario.truth, said, scenario.stream.start, scenario.stream.end, scenario.stream.batch)


def test_who_knows_the_answer_scores_one_and_the_silent_recall_nothing(scenario, tmp_path):
    assert scenario.truth.expect == "alarm"
    quiet = make_scenario(Spec("machines", "none", 0, 7))
    known = summary([graded(one, Oracle(one.truth), tmp_path) for one in (scenario, quiet)], [0.0])
    assert [known[key] for key in ("solved", "recall", "clean_recall", "class", "kind", "column", "onset_close")] == [1.0] * 7
    assert known["false_per_1000"] == known["quiet_alarmed"] == known["onset_error"] == 0
    silent = summary([graded(one, Monitor(), tmp_path) for one in (scenario, quiet)], [0.0])
    assert silent["recall"] == silent["solved_harmful"] == 0
    assert silent["solved"] == 0.5  # silence is right where nothing happened


def told(week, onset=20, causes=(("scaled", "a"),)):
    return {"at": str(START + WEEK * week), "kind": "decline", "onset": str(START + WEEK * onset), "causes": [list(one) for one in causes]}


TRUTH = Truth("alarm", "scaled", "large", "scaled", "data_quality", ("a", "b"), START + WEEK * 20, 0.4, 0.6)


@pytest.mark.parametrize(
    ("said", "solved", "episodes", "delay"),
    [
        ([told(22)], True, 0, 2.0),
        ([told(22, causes=[("noise", "b")])], True, 0, 2.0),  # the class and the column are asked, not the kind
        ([told(22, causes=[("noise", "c")])], False, 0, 2.0),
        ([told(22, onset=16)], False, 0, 2.0),
        ([told(22, onset=10), told(25)], True, 0, 2.0),  # a better diagnosis within four batches counts
        ([told(22, onset=10), told(29)], False, 0, 2.0),  # a later one does not
        ([told(3), told(4), told(9), told(22)], False, 2, 2.0),  # two false episodes before
    ],
    ids=["right", "other-kind", "wrong-column", "wrong-onset", "improved", "improved-late", "false-before"],
)
def test_a_statement_is_worth(said, solved, episodes, delay):
    found = grade(TRUTH, said, START, START + WEEK * 100, WEEK)
    assert (found.is_solved, found.false_episodes, found.delay) == (solved, episodes, delay)


def test_an_oracle_knows_a_large_change_sooner_than_a_small_one_and_needs_longer_when_it_must_guess():
    """The bound on the delay is of the labels alone: no alarm before the onset can come from it."""
    large, small = (make_scenario(Spec("machines", "label_shift", size, 1)) for size in (2, 0))
    needed = np.log(1_000)
    assert 0 < delay(large, needed) < delay(small, needed)
    assert delay(large, needed + np.log(20)) >= delay(large, needed)
    assert delay(large, np.inf) == np.inf
