"""Profiles, their documents, and the imports of a start."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastforge_kit.verdicts import AtMost

from benchmarks.goals.rows import row_of
from benchmarks.profiling.imports import OWN, STANDARD_LIBRARY, by_distribution, medians
from benchmarks.reporting.documents import DOCUMENTS, RESULTS, parts_of, shortfalls
from benchmarks.reporting.documents import load as load_results
from benchmarks.reporting.profiles import Costs, Profile, Profiles, load, page_of, reason

READ = Profile(
    "a read",
    Costs({"Uvicorn": 20.0, "routes": 15.0, "metrics": 5.0}, {"`send`": 12.0}, 400, 0.25),
    Costs({"Uvicorn": 10.0}, {}, 380, 0.3),
)


def test_a_profile_survives_json_and_replaces_the_earlier_one(tmp_path: Path) -> None:
    Profiles(tmp_path, "a machine").keep(Profile("a read", Costs({"x": 1}), Costs({"x": 1})), 100)
    Profiles(tmp_path, "a machine").keep(READ, 100)
    assert load(tmp_path, "a machine") == [READ]
    assert "| Uvicorn | 20.0 | 10.0 | +10.0 |" in (tmp_path / "profiles.md").read_text(encoding="utf-8")


def test_profiles_of_another_machine_are_not_mixed_in(tmp_path: Path) -> None:
    Profiles(tmp_path, "a machine").keep(READ, 100)
    assert Profiles(tmp_path, "another machine").all == []


def test_a_full_run_discards_earlier_profiles(tmp_path: Path) -> None:
    Profiles(tmp_path, "a machine").keep(READ, 100)
    again = Profiles(tmp_path, "a machine")
    again.begin()
    assert again.all == []


def test_the_excess_over_the_limit_is_named_by_layer_the_largest_first() -> None:
    assert reason(READ) == "of 30 µs more than the baseline, 15 routes; 10 Uvicorn; 5 metrics"


def test_a_service_below_its_limit_is_explained_by_its_own_layers() -> None:
    profile = Profile("a page", Costs({"driver": 30.0, "kernel": 70.0}), Costs({"driver": 300.0}))
    assert reason(profile) == "of the service's 100 µs, 70 kernel; 30 driver"


def test_a_batch_is_explained_by_its_rows() -> None:
    costs = Costs({"JSON": 4.0, "service": 6.0})
    profile = Profile("a batch", Costs({"JSON": 200.0}), costs, is_baseline_explained=True)
    assert reason(profile) == "of 10 µs for a row of the batch, 6 service; 4 JSON"


def test_equal_costs_are_not_explained_by_noise() -> None:
    profile = Profile("a 304", Costs({"a": 60.0, "b": 41.0}), Costs({"a": 70.0, "b": 30.0}))
    assert reason(profile) == "both take about 100 µs"


def test_small_layers_are_combined_and_all_add_up() -> None:
    many = {f"layer {number}": float(number) for number in range(40)}
    profile = Profile("a start", Costs(many), Costs({"layer 1": 1.0}), unit="ms")
    shown = profile.layers
    assert len(shown) == 10
    assert shown[-1][0] == "31 others"
    assert sum(own for _, own, _ in shown) == pytest.approx(profile.service.total)


def test_a_page_has_its_number_of_samples() -> None:
    page = page_of(READ)
    assert "400 samples of the service, 380 of the baseline" in page
    assert "25% and 30%" in page


def test_a_shortfall_has_its_reason() -> None:
    row = row_of("a read", "a baseline", AtMost(1.5), [3.0])
    assert shortfalls([row], [READ]) == f"- a read: 3× (≤ 1.5×), missed: {reason(READ)}"


def test_every_profile_is_linked_to_a_goal_of_the_document() -> None:
    titles = {each["title"] for each in load_results(RESULTS)["goals"]}
    assert {profile.title for profile in load(RESULTS)} <= titles


def test_the_document_has_the_reasons_of_the_profiles() -> None:
    text = (DOCUMENTS / "performance.md").read_text(encoding="utf-8")
    assert parts_of(load_results(RESULTS), load(RESULTS))["shortfalls"] in text


IMPORTS = """\
import time: self [us] | cumulative | imported package
import time:      1500 |       1500 |   pydantic_core._pydantic_core
import time:       500 |       2000 | pydantic_core
import time:       250 |        250 |     json.decoder
import time:      3000 |       3000 | app.items.models
import time:      1000 |       1000 | strange
"""


def test_imports_count_for_their_distributions_by_their_own_time() -> None:
    assert by_distribution(IMPORTS, {"pydantic_core": ["pydantic-core"]}) == {
        "pydantic-core": 2.0,
        STANDARD_LIBRARY: 0.25,
        OWN: 3.0,
        "strange": 1.0,
    }


def test_the_median_of_several_starts_is_used_per_distribution() -> None:
    assert medians([{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 7.0}, {"a": 30.0, "b": 8.0}]) == {
        "a": 2.0,
        "b": 8.0,
    }
