"""Finds circles between files: by #include, and by calls between the .c files of one folder.

A file here is a stem: x.c with x.h (include/caseview/x.h for lib/x.c). consumer_events.c is a file of its own, not a part
of consumer.c.

Calls are read from the objects of a build with nm: a symbol that one object defines and another one of the same folder
needs. This sees what a look at the text cannot: calls through macros and inline functions, addresses of functions, and
that a name in a comment or in a struct is no call.
"""
import os
import subprocess

INTERNAL = "_internal"


def stem_of(path):
    folder, name = os.path.split(path)
    return ("lib" if folder == "include/caseview" else folder), os.path.splitext(name)[0]


def add_include(graph, path, number, target):
    """x_internal.h may include x.h: it is the larger interface of the same files, not a file below x.h."""
    source, aim = stem_of(path), stem_of(target)
    if source != aim and source != (aim[0], aim[1] + INTERNAL):
        graph.setdefault(source, {}).setdefault(aim, (path, number, os.path.basename(target)))


def components(graph):
    """Strongly connected components with more than one node, as sorted lists (Tarjan)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for aim in sorted(graph.get(node, {})):
            if aim not in index:
                visit(aim)
                low[node] = min(low[node], low[aim])
            elif aim in on_stack:
                low[node] = min(low[node], index[aim])
        if low[node] == index[node]:
            members = []
            while not members or members[-1] != node:
                members.append(stack.pop())
                on_stack.discard(members[-1])
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(found)


def shortest_circle(graph, start, members):
    """The nodes of a shortest way from start back to start."""
    ways = [[start]]
    seen = set()
    while ways:
        way = ways.pop(0)
        for aim in sorted(graph.get(way[-1], {})):
            if aim == start:
                return way + [start]
            if aim in members and aim not in seen:
                seen.add(aim)
                ways.append(way + [aim])
    raise ValueError("%s is in no circle" % (start,))


def circles_of(graph):
    """One circle for each pair of files that point at each other; where a component has none, its shortest one."""
    for members in components(graph):
        pairs = [(a, b) for a in members for b in members if a < b and b in graph.get(a, {}) and a in graph.get(b, {})]
        if pairs:
            yield from ([a, b, a] for a, b in pairs)
        else:
            yield min((shortest_circle(graph, node, set(members)) for node in members), key=len)


def report(lint, graph, kind):
    for circle in circles_of(graph):
        steps = list(zip(circle, circle[1:]))
        places = [graph[source][aim] for source, aim in steps]
        text = ", ".join("%s %s %s (%s)" % (source[1], kind, aim[1], place[2])
                         for (source, aim), place in zip(steps, places))
        lint.report(places[0][0], places[0][1], "circle: " + text)


def symbols_of(path):
    """(defined, undefined) global symbols of an object."""
    done = subprocess.run(["nm", "-g", "-P", path], stdout=subprocess.PIPE, check=True, timeout=60)
    defined, undefined = set(), set()
    for line in done.stdout.decode().splitlines():
        name, kind = line.split()[:2]
        (undefined if kind in "Uwv" else defined).add(name)
    return defined, undefined


def objects_of(build):
    """Path of a source file -> its object, of the targets that are whole layers or programs."""
    found = {}
    targets = os.path.join(build, "CMakeFiles")
    for target in sorted(os.listdir(targets)) if os.path.isdir(targets) else ():
        top = os.path.join(targets, target)
        if target.endswith(".dir"):
            for folder, _, names in os.walk(top):
                for name in names:
                    if name.endswith(".c.o"):
                        path = os.path.join(folder, name)
                        found[os.path.relpath(path, top)[:-len(".o")].replace(os.sep, "/")] = path
    return found


def call_graph(lint, sources, build):
    objects = objects_of(build)
    definers, needs, graph = {}, {}, {}
    for path in sources:
        if path not in objects:
            lint.report(path, 1, "has no object in %s: build first, calls cannot be checked" % build)
            continue
        defined, needs[path] = symbols_of(objects[path])
        for name in defined:
            definers.setdefault((os.path.dirname(path), name), path)
    for path, names in sorted(needs.items()):
        for name in sorted(names):
            target = definers.get((os.path.dirname(path), name))
            if target and target != path:
                graph.setdefault(stem_of(path), {}).setdefault(stem_of(target), (path, 1, name))
    return graph


def check_calls(lint, sources, build):
    report(lint, call_graph(lint, sources, build), "calls")
