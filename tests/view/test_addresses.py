"""Every address of the viewer: a parameter that is missing, empty, unknown, repeated or malformed.

Each gives a sensible page or a clean refusal; never an error of ours, nor a page without a title.
"""

import re
from html import unescape

import pytest

import small_run
from evolcoder.bench import registry
from evolcoder.view import latest
from report import samples
from viewer_client import Shown, make_evaluations, make_run

HOSTILE = ("", " ", "nothing", "-1", "1.5", "1e9", "9" * 30, "9" * 18, "9" * 5000, "0" * 5000, "²", "%00", "%zz", "%ff%fe",
           "%F0%9F%92%A5", "a" * 5000, "a " * 2500, "%3Cscript%3E", "'%22--", "..%2F..", "%2525", "None")  # fmt: skip
"""Values that no parameter wants, but for a search."""
FILTERS = {"query": "sort", "round": "1", "heuristic": "deepen", "language": "python",
           "outcome": "kept", "verdict": "runs: passed", "marked": "noted", "after": "0",
           "before": "9"}  # fmt: skip
PLACES = ("after", "before")
BOTH = {"a": "{before}", "b": "{after}", "bench": "humaneval"}
ROUTES = {
    "/": {}, "/live": {}, "/static/{name}": {},
    "/run/{key}": {}, "/run/{key}/live": {},
    "/run/{key}/rows": FILTERS,
    "/run/{key}/rows.jsonl": {name: FILTERS[name] for name in FILTERS if name not in PLACES},
    "/run/{key}/drops": {"what": "evolve: empty", "after": "0"},
    "/run/{key}/row/{id}": {}, "/run/{key}/row/{id}/text/{part}": {},
    "/run/{key}/row/{id}/annotate": {},
    "/evaluation/{key}": {}, "/evaluation/{key}/live": {},
    "/evaluation/{key}/problems": {"bench": "humaneval", "outcome": "all passed", "query": "Eval",
                                   "kind": "passed", "after": "HumanEval/0"},
    "/evaluation/{key}/problem": {"bench": "humaneval", "id": "HumanEval/1", "first": "1"},
    "/evaluation/{key}/problem/text": {"bench": "humaneval", "id": "HumanEval/1", "number": "1",
                                       "part": "answer"},
    "/compare": {**BOTH, "start": "1"},
    "/compare/problem": {**BOTH, "id": "HumanEval/1", "first": "1"},
    "/cleaned/{key}/rows": {"reason": "leak", "after": "0"},
    "/cleaned/{key}/row/{number}": {}, "/cleaned/{key}/row/{number}/texts": {},
    "/cleaned/{key}/row/{number}/text/{part}": {},
    "/loop/{key}": {}, "/loop/{key}/live": {}, "/loop/{key}/figure/{name}": {"narrow": "1"},
    "/cleaned/{key}": {}, "/cleaned/{key}/live": {}, "/cleaned/{key}/figure/{name}": {"narrow": "1"},
}  # fmt: skip
"""Each route with the parameters that it reads, and a value that each may have."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("addresses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latest, "WAIT_S", 60.0)
        patch.setitem(registry.BENCHES, "toy", samples.toy_bench)
        yield _all_kinds(folder)


def _all_kinds(folder):
    """Show a run, two evaluations, a loop and a cleaned file."""
    make_run(folder / "all" / "run")
    make_evaluations(folder / "all" / "evals")
    samples.loop(folder / "all" / "loop")
    (folder / "all" / "clean").mkdir()
    samples.cleaned(folder / "all" / "clean")
    return Shown(folder / "all", folder / "index")


def values_of(shown, path):
    """Return values of the parameters of a path, and of those of addresses that name a key."""
    viewer, kind = shown.viewer, path.split("/")[1]
    keys = {"run": viewer.runs, "evaluation": viewer.evaluations}
    keys |= {
        name: [key for key, one in viewer.reports.shown.items() if one.source.kind == name]
        for name in ("loop", "cleaned")
    }
    after, before = viewer.evaluations
    known = {"key": next(iter(keys[kind])) if kind in keys else "", "after": after, "before": before,
             "id": small_run.CHILD.id, "part": "task", "number": "2"}  # fmt: skip
    known["name"] = "view.css" if kind == "static" else _figure(shown, kind, known["key"])
    return known


def _figure(shown, kind, key):
    if kind not in {"loop", "cleaned"}:
        return ""
    return next(one.name for one in shown.viewer.reports.shown[key].content().sections if one.chart)


def pages_of(shown, path):
    """Yield addresses of a route, each with what is unusual about it, "" for the usual one."""
    known = values_of(shown, path)
    given = {name: value.format(**known) for name, value in ROUTES[path].items()}
    usual = path.format(**known)

    def address(base, pairs):
        found = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in pairs)
        return f"{base}?{found}" if found else base

    yield "", address(usual, given.items())
    yield "no parameter", usual
    yield "an unknown parameter", address(usual, [*given.items(), ("colour", "red")])
    for name, fine in given.items():
        others = [one for one in given.items() if one[0] != name]
        yield f"{name} missing", address(usual, others)
        yield f"{name} twice", address(usual, [*others, (name, "nothing"), (name, fine)])
        yield (
            f"{name} twice, then empty",
            address(usual, [*others, (name, fine), (name, "")]),
        )
        for value in HOSTILE:
            yield f"{name}={value[:20]}", address(usual, [*others, (name, value)])
            yield f"only {name}={value[:20]}", address(usual, [(name, value)])
    for name in re.findall(r"{(\w+)}", path):
        for value in HOSTILE:
            bad = path.format(**{**known, name: value})
            yield f"path {name}={value[:20]}", address(bad, given.items())


def wrong_with(answer):
    """Say what a reader would find wrong with a page; empty if nothing."""
    if answer.status_code not in {200, 400, 404}:
        return f"status {answer.status_code}"
    page = answer.text
    if "<title>" not in page:
        return ""
    title = unescape(re.search(r"<title>(.*?)</title>", page, re.DOTALL)[1])
    heads = [unescape(re.sub(r"<[^>]*>", "", one))
             for one in re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page, re.DOTALL)]  # fmt: skip
    place = unescape(re.sub(r"<[^>]*>", "", re.search(r"<nav.*?</nav>", page, re.DOTALL)[0]))
    for what in (title.removesuffix(" · evolcoder"), *heads, *re.split(" / ", place.strip())):
        if not what.strip() or re.search(r"^\s*(?:in|of|and) |\b(?:of|in|and)\s*$", what):
            return f"an empty name in {what!r} of {title!r}"
    return ""


@pytest.mark.parametrize("path", ROUTES)
def test_an_address_gives_a_page_or_is_refused(shown, path):
    """Whatever a parameter holds; the usual address gives its page, and is what others differ from."""
    if path.endswith("/annotate"):
        pages = [(why, one) for why, one in pages_of(shown, path) if why.startswith("path")]
        same = {"origin": "http://127.0.0.1:8123", "sec-fetch-site": "same-origin"}
        answers = [
            (why, one, shown.client.post(one, data={"note": "x"}, headers=same))
            for why, one in pages
        ]
    else:
        answers = [(why, one, shown.client.get(one)) for why, one in pages_of(shown, path)]
        assert (answers[0][0], answers[0][2].status_code) == ("", 200)
    assert [
        (why, one, found) for why, one, answer in answers if (found := wrong_with(answer))
    ] == []


def test_every_route_is_in_the_table_with_its_parameters(shown, monkeypatch):
    """A route or a parameter that is added is tried as the others are."""
    from starlette.datastructures import QueryParams
    from starlette.routing import Router

    router = shown.app._app
    while not isinstance(getattr(router, "router", None), Router):
        router = router.app
    paths = {re.sub(r":\w+}", "}", route.path) for route in router.router.routes}
    assert paths == set(ROUTES)
    for path, given in ROUTES.items():
        read = set()
        monkeypatch.setattr(
            QueryParams, "get", lambda self, name, default=None, read=read: (read.add(name), dict(self).get(name, default))[1]
        )  # fmt: skip
        shown.client.get(next(pages_of(shown, path))[1])
        assert read == set(given), path


def _remove(path):
    path.unlink()


def _damage(path):
    path.write_bytes(path.read_bytes()[:5000])


def _lock(path):
    path.unlink()
    path.mkdir()  # also root cannot read it as a file


@pytest.mark.parametrize("visited", [False, True])
@pytest.mark.parametrize("lose", [_remove, _damage, _lock])
def test_files_that_go_while_they_are_shown_are_a_page_that_says_so(
    tmp_path, monkeypatch, lose, visited
):
    """Whatever is lost of a folder under a viewer, before or after a visit, no page breaks."""
    monkeypatch.setattr(latest, "WAIT_S", 60.0)
    monkeypatch.setattr(latest, "PAUSE", 0)
    monkeypatch.setitem(registry.BENCHES, "toy", samples.toy_bench)
    shown = _all_kinds(tmp_path)
    usual = [next(pages_of(shown, path))[1] for path in ROUTES if "annotate" not in path]
    for address in usual if visited else ():
        assert shown.client.get(address).status_code == 200
    for path in sorted((tmp_path / "all").rglob("*")):
        if path.is_file():
            lose(path)
    answers = {address: shown.client.get(address) for address in usual}
    assert {answer.status_code for answer in answers.values()} <= {200, 404, 503}
    key = next(iter(shown.viewer.runs))
    assert "run.db" in shown.page(f"/run/{key}/rows.jsonl", status=503)


@pytest.mark.parametrize(
    ("path", "given", "status", "says"),
    [
        ("/evaluation/{after}/problems", "", 200, "Problems of humaneval"),
        ("/evaluation/{after}/problems", "bench=", 200, "Problems of humaneval"),
        (
            "/evaluation/{after}/problems",
            "bench=mbpp",
            404,
            "of &#39;mbpp&#39; here, but of humaneval",
        ),
        ("/evaluation/{after}/problems", "outcome=x", 200, "HumanEval/2"),
        ("/evaluation/{after}/problem", "id=HumanEval/1", 200, "<h1>HumanEval/1</h1>"),
        ("/evaluation/{after}/problem", "bench=humaneval", 404, "names no problem of humaneval"),
        ("/compare", "a={before}&b={after}", 200, "2 of 3 problems"),
        ("/compare", "a={before}&b={after}&bench=x", 404, "of &#39;x&#39; here"),
        ("/compare", "a={before}", 404, "such an evaluation"),
        ("/compare/problem", "a={before}&b={after}&id=HumanEval/1", 200, "# before"),
        ("/compare/problem", "a={before}&b={after}&id=x", 404, "neither evaluation has samples"),
        ("/run/{key}/drops", "what=evolve:+empty", 200, "nothing came"),
        ("/run/{key}/drops", "what=evolve:+refusal", 200, "No drop fits"),
        ("/run/{key}/drops", "what=evolve:+boredom", 404, "no reason of a drop"),
        ("/run/{key}/rows", "round=x", 200, small_run.SEED.id[:12]),
    ],
)
def test_a_missing_value_has_a_default_and_an_unknown_one_is_named(
    shown, path, given, status, says
):
    """The first benchmark where none is named; a filter with another value than its own is none."""
    known = values_of(shown, path)
    page = shown.page(f"{path}?{given}".format(**known), status=status)
    assert says in page
