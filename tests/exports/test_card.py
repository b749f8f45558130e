"""The data set card: contents, provenance, and what is unknown."""

from dataclasses import replace

import pytest
import yaml

from evolcoder.exports.formats import FORMATS
from evolcoder.exports.write import RowCounts, card
from evolcoder.sandbox.base import Layer


@pytest.fixture
def tally(rows):
    counted = RowCounts()
    list(counted.counting(rows()))
    return counted


def head_of(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_rows_are_counted_as_they_go_by(rows, tally):
    """Rounds add up to all rows and heuristics to the evolved ones; rows are passed through."""
    assert list(RowCounts().counting(rows())) == list(rows())
    assert tally.rows == 6
    assert tally.rounds == {"seeds": 3, "round 1": 3}
    assert tally.heuristics == {"constraints": 3}
    assert tally.languages == {"python": 3, "none named": 3}


def test_the_head_is_yaml_that_points_at_the_data(facts, tally):
    """Licence, tags, size and data file stand where the Hub looks for them."""
    head = head_of(card(facts, FORMATS["parquet"], tally))
    assert head["license"] == "unknown"
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data.parquet"}]
    assert {"code", "synthetic", "evol-instruct"} <= set(head["tags"])


@pytest.mark.parametrize(
    ("n_rows", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M")],
)
def test_sizes_are_the_hubs(facts, n_rows, size):
    """The size category matches the number of rows."""
    tally = RowCounts()
    tally.rounds["seeds"] = n_rows
    assert head_of(card(facts, FORMATS["trl"], tally))["size_categories"] == [size]


def test_the_protections_under_which_answers_were_run_are_named(facts, tally):
    """By stage, with inactive layers; without executed responses the section is left out."""
    layers = [layer for layer in Layer if layer is not Layer.LANDLOCK]
    ran = replace(facts, sandbox=(("verify", tuple(layers)), ("clean", tuple(Layer))))
    text = card(ran, FORMATS["trl"], tally)
    assert f"| verify | {', '.join(layers)} | landlock |" in text
    assert f"| clean | {', '.join(Layer)} | none |" in text
    assert "Sandbox" not in card(facts, FORMATS["trl"], tally)


def test_the_body_tells_how_it_was_made(facts, tally):
    """Funnel, models with their terms, heuristics, command and versions are all there."""
    text = card(facts, FORMATS["messages"], tally)
    assert "| seeds | 0 | 4 | 3 | duplicate 1 |" in text
    assert "| evolve | 1 | 3 | 3 | 0 |" in text
    assert "| respond | 1 | 3 | 1 | refusal 1, still waiting 1 |" in text
    assert "| evolver | evolver\\|m | Apache-2.0 |" in text
    assert "| judge | j | not known: see its provider |" in text
    assert "| constraints | 3 |" in text
    assert "```bash\nevolcoder run --limit 3 --out runs/first\n```" in text
    assert "| evolcoder | 0.1.0 |" in text
    assert "| parent | id of the task" in text


def test_the_licence_is_the_users_to_set(facts, tally):
    """Without one the card says so; otherwise it is in the metadata and the text."""
    format = FORMATS["messages"]
    assert "Not set." in card(facts, format, tally)
    text = card(replace(facts, license="cc-by-nc-4.0"), format, tally)
    assert head_of(text)["license"] == "cc-by-nc-4.0"
    assert "Not set." not in text


def test_odd_facts_do_not_break_the_card(facts, tally):
    """Line breaks, bars, YAML and fences in the user's text are escaped."""
    odd = replace(facts, title="a: [b\n---\n# c", license="no: 1", command="run --set 'x=```'")
    text = card(odd, FORMATS["messages"], tally)
    assert head_of(text)["pretty_name"] == "a: [b --- # c"
    assert head_of(text)["license"] == "no: 1"
    assert "````bash\nrun --set 'x=```'\n````" in text


def test_a_run_without_rows_has_a_card(facts):
    """Empty tables are left out."""
    text = card(facts, FORMATS["messages"], RowCounts())
    assert "## Heuristics" not in text
    assert "0 coding tasks" in text
