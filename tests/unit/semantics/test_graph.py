"""Group nesting as a graph (cxone.md section 8; defect G1: the depth check that could never trigger)."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reconciler.semantics import graph

NAMES = st.sampled_from("abcdefgh")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=8)
ACYCLIC = GRAPHS.map(lambda edges: {node: [child for child in below if child > node] for node, below in edges.items()})


def test_a_cycle_is_named_as_a_chain_that_ends_where_it_began() -> None:
    """The shortest way round is given, starting at the smallest name."""
    assert graph.find_cycles({"b": ["c"], "c": ["a", "d"], "a": ["b"], "d": ["b"]}) == (("a", "b", "c", "a"),)


def test_a_group_that_contains_itself_is_a_cycle_of_one() -> None:
    """Self membership is reported like any other cycle."""
    assert graph.find_cycles({"a": ["a"], "b": []}) == (("a", "a"),)


def test_separate_cycles_are_all_reported() -> None:
    """One for each set of groups that contain each other, not only the first."""
    assert graph.find_cycles({"x": ["y"], "y": ["x"], "a": ["b"], "b": ["a"]}) == (("a", "b", "a"), ("x", "y", "x"))


def test_depth_counts_every_group_on_the_chain() -> None:
    """Three levels of nesting are a chain of three groups (cxone.md section 8)."""
    edges = {"top": ["middle", "side"], "middle": ["bottom"], "other": ["bottom"]}
    assert graph.heights(edges) == {"bottom": 1, "middle": 2, "other": 2, "side": 1, "top": 3}
    assert graph.deepest_chains(edges, 2) == (("top", "middle", "bottom"),)
    assert graph.deepest_chains(edges, 3) == ()


def test_a_chain_longer_than_the_recursion_limit_is_measured() -> None:
    """Nothing recurses: ten thousand nested groups are a long chain, not a crash."""
    edges = {f"{number:05}": [f"{number + 1:05}"] for number in range(10_000)}
    (chain,) = graph.deepest_chains(edges, 3)
    assert len(chain) == 10_001
    assert graph.find_cycles({**edges, "10000": ["00000"]})[0][:2] == ("00000", "00001")


def test_groups_above_a_cycle_have_no_depth() -> None:
    """A cycle is an error of its own; depth is said only of what has one."""
    assert graph.heights({"a": ["b"], "b": ["c"], "c": ["b"], "d": []}) == {"d": 1}


def test_effective_members_come_through_nested_groups() -> None:
    """Also round a cycle, where everyone is in every group of it."""
    members = {"a": ["ann"], "b": ["bob"], "c": ["cyd"], "lone": ["lee"]}
    assert graph.effective_members({"a": ["b"], "b": ["c"]}, members) == {
        "a": frozenset({"ann", "bob", "cyd"}),
        "b": frozenset({"bob", "cyd"}),
        "c": frozenset({"cyd"}),
        "lone": frozenset({"lee"}),
    }
    assert graph.effective_members({"a": ["b"], "b": ["a"]}, members)["a"] == {"ann", "bob"}


def test_the_shortest_path_prefers_the_smallest_names() -> None:
    """The path shown to a reviewer does not depend on the order of anything."""
    assert graph.shortest_path({"a": ["c", "b"], "b": ["d"], "c": ["d"]}, "a", "d") == ("a", "b", "d")
    assert graph.shortest_path({"a": ["b"]}, "b", "a") is None
    assert graph.shortest_path({}, "a", "a") == ("a",)


@given(GRAPHS)
def test_there_is_a_cycle_exactly_where_a_group_reaches_itself(edges: dict[str, list[str]]) -> None:
    """Checked against reachability, which knows nothing of components."""
    looping = {node for node in graph.nodes_of(edges) if node in graph.reachable(edges, [node])}
    cycles = graph.find_cycles(edges)
    assert bool(looping) == bool(cycles)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(after in edges[before] for before, after in itertools.pairwise(cycle))
    assert {node for cycle in cycles for node in cycle} <= looping
    assert set(graph.heights(edges)).isdisjoint(looping)


@given(ACYCLIC, st.randoms(use_true_random=False))
def test_the_answers_do_not_depend_on_any_order(edges: dict[str, list[str]], random: object) -> None:
    """SPEC P12: same graph, same answer."""
    shuffled = {node: sorted(set(edges[node]), key=lambda _: random.random()) for node in reversed(list(edges))}  # type: ignore[attr-defined]
    assert graph.deepest_chains(edges, 1) == graph.deepest_chains(shuffled, 1)
    assert graph.components(edges) == graph.components(shuffled)


@given(ACYCLIC)
def test_the_longest_chain_is_as_long_as_its_height_and_follows_edges(edges: dict[str, list[str]]) -> None:
    """The chain named in an error message is one that is really there."""
    height = graph.heights(edges)
    for node in graph.nodes_of(edges):
        chain = graph.longest_chain(edges, node, height)
        assert len(chain) == height[node]
        assert all(after in edges[before] for before, after in itertools.pairwise(chain))


@given(GRAPHS, st.dictionaries(NAMES, st.lists(st.integers().map(str), max_size=3)))
def test_effective_members_are_those_of_all_reachable_groups(
    edges: dict[str, list[str]], members: dict[str, list[str]]
) -> None:
    """Effective membership is direct membership somewhere below."""
    effective = graph.effective_members(edges, members)
    for group in effective:
        below = {group, *graph.reachable(edges, [group])}
        assert effective[group] == {user for node in below for user in members.get(node, ())}
