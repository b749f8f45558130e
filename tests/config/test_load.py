"""Config values are validated; an error is one line that names the key as the user wrote it."""

import ast
import itertools
import json
import re
from pathlib import Path

import pytest

from evolcoder.config import schema
from evolcoder.config.load import FREE_TO_CHANGE, Config, Section, differing_keys, load
from evolcoder.config.validation import validate_as
from evolcoder.errors import ConfigError
from evolcoder.experiment.config import LoopConfig
from evolcoder.training.recipe import Recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budgt.rounds=2", "unknown key budgt; did you mean budget?"),
        ("evolve.candidats=2", "unknown key evolve.candidats; did you mean evolve.candidates?"),
        ("evolve.heuristics.mine.tmplate=x", "did you mean evolve.heuristics.mine.template?"),
        ("evolve.heuristics.mine.template=harder", "template has no {task} placeholder"),
        ("evolver.temperature=hot", "evolver.temperature"),
        ("evolver.top_p=1.5", "evolver.top_p"),
        ("evolve.candidates=0", "evolve.candidates"),
        ("seeds.format=csv", "seeds.format"),
        ("budget=3", "budget"),
        ("rounds", "write it as key.subkey=value"),
        ("=3", "write it as key.subkey=value"),
        ("seed.x.y=3", "seed"),
        ("evolver.model=[", "not YAML"),
        ("seeds.path=2024-13-01", "not YAML"),
        ('seeds.path="a\\0b"', "seeds.path: the character '\\x00' is not allowed"),
        ('clean.beside=["\\ud800"]', "clean.beside: the character '\\ud800' is not allowed"),
        (
            'prices={"\\udfff": {input: 1, output: 1}}',
            "prices: a key: the character '\\udfff' is not allowed",
        ),
        ("servers.h.key=A", "unknown key servers.h.key; did you mean servers.h.key_variable?"),
    ],
)
def test_an_invalid_value_is_a_one_line_error(override, message):
    """The message names the key, and the nearest known one where there is one."""
    with pytest.raises(ConfigError) as caught:
        load(None, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "must be a mapping of keys to values, not a list"),
        ("a: [1", "not YAML"),
        ("a: 2024-13-01", "not YAML"),
        ("[" * 50_000, "not YAML"),
        ("seed: -1", "seed"),
        ("\xff\xfe", "not YAML"),
    ],
)
def test_an_invalid_file_is_a_one_line_error(tmp_path, text, message):
    """Broken YAML, a top-level list, bytes that are not UTF-8: one line that names the file."""
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert message in str(caught.value)
    assert "run.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


ODD = ("x", "a b!", -1, 1e9, 0, 1.5, [], ["x", "x"], {}, {"x": 1}, True, float("nan"), "9" * 5000)
"""Values of every type, of which each key refuses some."""
FOREIGN = re.compile(
    r"\b(?:Input|String|Tuple|List|Value|instance|parse|mapping|dictionary|regex)\b|\^|\\w|\{"
)
"""Words of pydantic and of Python, and parts of regular expressions."""


def keys_of(kind, above=()):
    """Yield the path of every key and section."""
    for name, field in kind.model_fields.items():
        yield (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from keys_of(field.annotation, (*above, name))


@pytest.mark.parametrize("kind", [Config, LoopConfig, Recipe])
def test_a_refused_value_is_described_in_the_words_of_a_config(kind):
    """No key shows a regular expression or the words of the validator, whatever it is given."""
    said = set()
    for path, value in itertools.product(keys_of(kind), ODD):
        data = value
        for name in reversed(path):
            data = {name: data}
        try:
            validate_as(kind, data, where="test")
        except ConfigError as error:
            said.add(str(error).split(" (seen: ")[0])
    assert len(said) > 2 * len(kind.model_fields)
    assert [one for one in said if FOREIGN.search(one)] == []


def test_a_name_of_a_data_set_says_what_it_may_have():
    """Also where it would be a path, or an option of a command."""
    for name in ("a b", "", "a/b", "-x", ".x", "x" * 97, "a\n"):
        with pytest.raises(
            ConfigError, match=r"export\.name: must have letters, digits, _, \. and -"
        ):
            load(None, [f"export.name={json.dumps(name)}"])
    assert load(None, ["export.name=Größe_1.x-y"]).export.name == "Größe_1.x-y"


def test_a_missing_file_is_named(tmp_path):
    """The error names the path."""
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")


def test_an_empty_file_and_empty_sections_mean_the_defaults(tmp_path):
    """`budget:` with nothing under it is what YAML users write; it changes nothing."""
    path = tmp_path / "run.yaml"
    path.write_text("budget:\nseeds:\n")
    assert load(path) == Config()


def test_flags_win_over_the_file(tmp_path):
    """Command-line overrides take precedence over the file."""
    path = tmp_path / "run.yaml"
    path.write_text("budget: {rounds: 5}\nseed: 3\n")
    loaded = load(path, ["budget.rounds=2"])
    assert (loaded.budget.rounds, loaded.seed) == (2, 3)


def test_the_fingerprint_covers_every_deciding_key():
    """Changing any key outside the free ones changes the fingerprint; a free one does not."""
    for name in Config.model_fields:
        other = load(None, [CHANGES[name]])
        assert other != Config()
        if name == "preset":  # what it stands for decides
            other = other.model_copy(update={"evolver": Config().evolver, "preset": "wizardcoder"})
            other = other.model_copy(
                update={"responder": Config().responder, "evolve": Config().evolve}
            )
        assert (other.fingerprint == Config().fingerprint) == (name in FREE_TO_CHANGE), name


CHANGES = {
    "cluster": "cluster.address=auto",
    "preset": "preset=wizardcoder",
    "seed": "seed=1",
    "seeds": "seeds.limit=3",
    "evolver": "evolver.model=other",
    "responder": "responder.model=other",
    "judge": "judge.model=other",
    "evolve": "evolve.candidates=5",
    "eliminate": "eliminate.max_words=99",
    "respond": "respond.tries=2",
    "verify": "verify.when=never",
    "clean": "clean.near=0.9",
    "budget": "budget.rounds=9",
    "traffic": "traffic.concurrency=3",
    "servers": "servers.api.example.org:8443.key_variable=THEIR_KEY",
    "export": "export.include_seeds=false",
    "prices": "prices.toy={input: 1, output: 1}",
    "prices_as_of": "prices_as_of=2026-11",
    "cache": "cache=elsewhere.db",
}
"""A change to each key of the config."""


def test_differing_keys_are_named_dotted():
    """The names are what a user would type."""
    old, new = Config().fingerprinted(), load(None, ["evolver.top_p=0.5", "seed=4"]).fingerprinted()
    assert differing_keys(old, new) == ["evolver.top_p", "seed"]


def test_every_field_is_documented():
    """Every config field has a docstring under it."""
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    sections = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    missing = [
        f"{section.name}.{field.target.id}"
        for section in sections
        if section.name != "Section"
        for field, below in itertools.pairwise([*section.body, None])
        if isinstance(field, ast.AnnAssign)
        and not (isinstance(below, ast.Expr) and str(below.value.value).endswith("."))
    ]
    assert len(sections) > 10
    assert missing == []


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[2] / "examples").glob("*.yaml")),
    ids=lambda path: path.name,
)
def test_the_examples_are_valid(path):
    """Every config of a run that we ship loads; those of loops have a test with the loop."""
    assert load(path) != Config()


def test_names_with_dots_are_set_whole():
    """Names of hosts and models may contain dots, which also separate keys."""
    loaded = load(
        None,
        [
            "servers.api.example.org:443.key_variable=A",
            "servers.10.0.0.1={key_variable: B}",
            "prices.gpt-4.1.input=2", "prices.gpt-4.1.output=8", "prices.o1.5={input: 1, output: 2}",
        ],
    )  # fmt: skip
    assert [*loaded.servers] == ["api.example.org:443", "10.0.0.1"]
    assert {name: (one.input, one.output) for name, one in loaded.prices.items()} == {
        "gpt-4.1": (2.0, 8.0), "o1.5": (1.0, 2.0),
    }  # fmt: skip


def test_escaped_surrogate_pairs_are_one_character(tmp_path):
    """Flags pass names on as JSON, and a config may be JSON, which escapes an emoji as two halves."""
    assert load(None, [f"seeds.path={json.dumps('😀.jsonl')}"]).seeds.path == "😀.jsonl"
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"prices": {"😀": {"input": 1, "output": 1}}, "cache": "a\udcff"}))
    loaded = load(path)
    assert ([*loaded.prices], loaded.cache) == (["😀"], "a\udcff")


def test_exponential_aliases_are_refused(tmp_path):
    """A "billion laughs" document is refused before its aliases are expanded."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
    ]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="more than 50,000 values, with aliases expanded"):
        load(path)


def test_an_unknown_key_is_reported_before_a_missing_one():
    """For a misspelt required key, the error suggests the spelling instead of a missing key."""

    class Needs(Section):
        student: str

    with pytest.raises(ConfigError, match="unknown key studnet; did you mean student"):
        validate_as(Needs, {"studnet": "x"}, where="f")


NAMES = ("gpt-4.1-mini", "openai/gpt-4o:nitro", "qwen2.5-coder:7b", "C:/models/a.gguf", "m", "input",
         "accounts/x/models/llama-v3p1", "[::1]:80", "it's", "update.me", "o1.5 preview")  # fmt: skip
FORMS = ("prices.{}.{}", "prices.'{}'.{}", 'prices["{}"].{}', 'prices."{}".{}', "prices['{}'].{}")
"""How a name is written in a key; a quote in a name needs the other quotes."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_names_of_models_are_set_with_dots_slashes_colons_and_quotes(name, form):
    """A price is set under the name as it is, in every notation that holds it."""
    if "'" in name and "'" in form:
        pytest.skip("a quote within the same quotes")
    loaded = load(
        None, [f"{form.format(name, key)}={value}" for key, value in (("input", 1), ("output", 2))]
    )
    assert {key: (one.input, one.output) for key, one in loaded.prices.items()} == {name: (1, 2)}


@pytest.mark.parametrize("name", [*NAMES, "a=b", 'a"b', "a'b", ""])
def test_names_of_any_kind_are_set_as_a_mapping(name):
    """A whole entry, and the whole table, hold any name."""
    entry = json.dumps({name: {"input": 1, "output": 2}})
    assert [*load(None, [f"prices={entry}"]).prices] == [name]


def test_an_equals_sign_within_quotes_belongs_to_the_name():
    """Only the first one outside quotes ends the key, and values may contain both."""
    loaded = load(
        None, ['prices."a=b.c".input=1', 'prices."a=b.c".output=2', "evolver.system=a='b'"]
    )
    assert ([*loaded.prices], loaded.evolver.system) == (["a=b.c"], "a='b'")


def test_names_of_heuristics_may_have_dots():
    """`evolve.heuristics` holds names of the user too."""
    loaded = load(None, ["evolve.heuristics.mine.v2.weight=2"])
    assert [*loaded.evolve.heuristics] == ["mine.v2"]


@pytest.mark.parametrize("override", ["prices.a", 'prices."a=1', "=1", '""=1'])
def test_an_override_without_a_key_or_a_value_is_refused(override):
    """Also one whose only equals sign is in an open quote that never closes."""
    with pytest.raises(ConfigError):
        load(None, [override])


def test_a_price_of_a_known_model_may_be_given_in_part():
    """What is left out comes from the built-in table; an entry with both prices stands alone."""
    loaded = load(None, ["prices.gpt-4.1-mini.input=0.3", "prices.gpt-4o={input: 9, output: 9}"])
    assert loaded.prices["gpt-4.1-mini"] == schema.Price(input=0.3, output=1.6, cached_input=0.1)
    assert loaded.prices["gpt-4o"] == schema.Price(input=9.0, output=9.0)
    with pytest.raises(ConfigError, match=r"prices\.mine\.output"):
        load(None, ["prices.mine.input=0.3"])


@pytest.mark.parametrize("written", ["2026-11-01", "2026-11", "2026", '"1 November 2026"'])
@pytest.mark.parametrize("key", ["prices.update", "prices_as_of"])
def test_prices_carry_a_date(key, written):
    """The date stands among the prices or next to them, and is kept when the config is stored."""
    loaded = load(None, [f"{key}={written}", "prices.m={input: 1, output: 2}"])
    assert (loaded.prices_as_of, [*loaded.prices]) == (written.strip('"'), ["m"])
    again = validate_as(Config, loaded.model_dump(mode="json"), where="stored")
    assert again == loaded


def test_a_model_may_be_called_update():
    """The date is no mapping, a price is one."""
    loaded = load(None, ["prices={update: {input: 1, output: 2}}"])
    assert ([*loaded.prices], loaded.prices_as_of) == (["update"], None)
