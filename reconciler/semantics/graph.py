"""Group nesting as a graph: cycles, depth, effective members.

Edges are given as a mapping from a group to the groups that are its members. Names that occur only as members count as
groups without members. Nothing here recurses, every function takes time linear in nodes and edges (effective members:
in the size of the answer), and every answer is the same whatever the order of the mapping and of the collections in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

Children = Mapping[str, Collection[str]]
"""Parent to children: `{"Supervisors": ["Team-Leads"]}` says that Team-Leads is a member of Supervisors."""


def nodes_of(children: Children) -> tuple[str, ...]:
    """Every name in the graph, sorted."""
    return tuple(sorted({*children, *(child for below in children.values() for child in below)}))


def parents_of(children: Children) -> dict[str, tuple[str, ...]]:
    """The same edges the other way round, each tuple sorted."""
    parents: dict[str, list[str]] = {}
    for parent in sorted(children):
        for child in set(children[parent]):
            parents.setdefault(child, []).append(parent)
    return {child: tuple(above) for child, above in sorted(parents.items())}


def components(children: Children) -> tuple[tuple[str, ...], ...]:
    """Strongly connected components (Tarjan), children before parents; each is sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    waiting: set[str] = set()
    found: list[tuple[str, ...]] = []
    for root in nodes_of(children):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_.append(root)
        waiting.add(root)
        walk: list[tuple[str, Iterator[str]]] = [(root, _below(children, root))]
        while walk:
            node, rest = walk[-1]
            child = next(rest, None)
            if child is None:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == index[node]:
                    found.append(_close(node, open_, waiting))
            elif child not in index:
                index[child] = low[child] = len(index)
                open_.append(child)
                waiting.add(child)
                walk.append((child, _below(children, child)))
            elif child in waiting:
                low[node] = min(low[node], index[child])
    return tuple(found)


def find_cycles(children: Children) -> tuple[tuple[str, ...], ...]:
    """One shortest cycle for each set of groups that contain each other, as a chain that ends where it began.

    A group that is its own member gives `(name, name)`. Each chain starts at the smallest name of its set that allows a
    shortest cycle; the chains are sorted.
    """
    cycles = []
    for component in components(children):
        inside = set(component)
        if len(component) > 1 or component[0] in children.get(component[0], ()):
            cycles.append(_shortest_cycle(children, component[0], inside))
    return tuple(sorted(cycles))


def heights(children: Children) -> dict[str, int]:
    """For each group the number of groups on the longest chain that starts with it, itself included (a lone group: 1).

    Groups on a cycle, and those above one, have no longest chain and are left out. For the chains that lead up to a
    group hand in `parents_of(children)`; the longest chain through an edge is then height above plus height below.
    """
    found: dict[str, int] = {}
    for component in components(children):
        node = component[0]
        below = children.get(node, ())
        if len(component) == 1 and node not in below and all(child in found for child in below):
            found[node] = 1 + max((found[child] for child in below), default=0)
    return {node: found[node] for node in sorted(found)}


def longest_chain(children: Children, node: str, height: Mapping[str, int]) -> tuple[str, ...]:
    """The longest chain that starts with `node`; of equally long ones that with the smallest names.

    `height` is what `heights(children)` said, and `node` is in it.
    """
    chain = [node]
    while height[chain[-1]] > 1:
        chain.append(min(children[chain[-1]], key=lambda child: (-height[child], child)))
    return tuple(chain)


def deepest_chains(children: Children, limit: int) -> tuple[tuple[str, ...], ...]:
    """The longest chain from each group that nobody contains, where it is longer than `limit`; sorted.

    The length of a chain counts every group on it (cxone.md section 8).
    """
    contained = {child for below in children.values() for child in below}
    height = heights(children)
    tops = [node for node, length in height.items() if length > limit and node not in contained]
    return tuple(longest_chain(children, node, height) for node in tops)


def reachable(edges: Children, start: Iterable[str]) -> frozenset[str]:
    """Everything reached from `start` by at least one edge; a start itself only if a cycle leads back to it.

    With `children` these are the nested groups of a group, with `parents_of(children)` the groups above it.
    """
    seen: set[str] = set()
    todo = [child for node in start for child in edges.get(node, ())]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(edges.get(node, ()))
    return frozenset(seen)


def effective_members(children: Children, members: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """For each group the users who are in it directly (`members`) or through nested groups; cycles do no harm."""
    effective: dict[str, frozenset[str]] = {}
    for component in components({**dict.fromkeys(members, ()), **children}):
        inside = set(component)
        below: list[Collection[str]] = []
        for node in component:
            below.append(members.get(node, ()))
            below.extend(effective[child] for child in children.get(node, ()) if child not in inside)
        together = frozenset().union(*below)
        for node in component:
            effective[node] = together
    return {group: effective[group] for group in sorted(effective)}


def shortest_path(children: Children, start: str, goal: str) -> tuple[str, ...] | None:
    """The groups from `start` down to `goal`, both included; None if there is no way. Ties: smallest names."""
    if start == goal:
        return (start,)
    came_from: dict[str, str] = {start: start}
    layer = [start]
    while layer:
        following = []
        for node in layer:
            for child in _below(children, node):
                if child in came_from:
                    continue
                came_from[child] = node
                if child == goal:
                    return _path(came_from, start, goal)
                following.append(child)
        layer = following
    return None


def _below(children: Children, node: str) -> Iterator[str]:
    return iter(sorted(children.get(node, ())))


def _close(node: str, open_: list[str], waiting: set[str]) -> tuple[str, ...]:
    component = []
    while True:
        member = open_.pop()
        waiting.discard(member)
        component.append(member)
        if member == node:
            return tuple(sorted(component))


def _shortest_cycle(children: Children, start: str, inside: set[str]) -> tuple[str, ...]:
    within = {node: [child for child in children.get(node, ()) if child in inside] for node in inside}
    if start in within[start]:
        return (start, start)
    paths = (shortest_path(within, child, start) for child in sorted(within[start]))
    best = min((path for path in paths if path), key=lambda path: (len(path), path))
    return (start, *best)


def _path(came_from: Mapping[str, str], start: str, goal: str) -> tuple[str, ...]:
    path = [goal]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))
