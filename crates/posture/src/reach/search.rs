//! Paths through the graph.
//!
//! What stands on the easiest way is found exactly: first over steps without any approval, then with conditional ones,
//! then over all. Listing paths is bounded.

use std::collections::{HashSet, VecDeque};

use super::{
    End, Hop, Kind, LIMITS, Path, Standing,
    graph::{Graph, Node, Step},
};

#[derive(Default)]
pub(super) struct Found {
    pub easiest: Option<Standing>,
    pub paths: Vec<Path>,
    pub ends: Vec<End>,
    pub end_count: usize,
    pub truncated: bool,
}

/// How a point is reached at best: the approval, and the step that leads on.
#[derive(Clone, Copy)]
struct Way {
    approval: Standing,
    /// The other end of the step and which of the steps it is; none at the start.
    step: Option<(usize, usize)>,
}

/// The easiest ways from `starts` to everything, the shortest among equals.
fn forwards(graph: &Graph, starts: &[usize]) -> Vec<Option<Way>> {
    easiest(graph.nodes.len(), starts, |node| {
        graph.nodes[node].steps.iter().enumerate().map(move |(n, step)| (step.to, (node, n), step.approval)).collect()
    })
}

/// The easiest ways from everything to `ends`.
fn towards(graph: &Graph, ends: &[usize]) -> Vec<Option<Way>> {
    let back = graph.backwards();
    easiest(graph.nodes.len(), ends, |node| {
        let from = |(from, n): &(usize, usize)| (*from, (*from, *n), graph.nodes[*from].steps[*n].approval);
        back[node].iter().map(from).collect()
    })
}

type Neighbour = (usize, (usize, usize), Standing);

fn easiest(count: usize, starts: &[usize], neighbours: impl Fn(usize) -> Vec<Neighbour>) -> Vec<Option<Way>> {
    let mut ways: Vec<Option<Way>> = vec![None; count];
    for level in Standing::ALL.iter().copied() {
        // What an easier level reached is where this one goes on from.
        let mut queue: VecDeque<usize> = match level {
            Standing::None => starts.iter().copied().collect(),
            Standing::Conditional | Standing::Required => (0..count).filter(|node| ways[*node].is_some()).collect(),
        };
        for start in starts {
            ways[*start].get_or_insert(Way { approval: Standing::None, step: None });
        }
        while let Some(node) = queue.pop_front() {
            for (next, step, approval) in neighbours(node) {
                if approval <= level && ways[next].is_none() {
                    ways[next] = Some(Way { approval: level, step: Some(step) });
                    queue.push_back(next);
                }
            }
        }
    }
    ways
}

pub(super) fn between(graph: &Graph, from: &[usize], to: &[usize]) -> Found {
    let ways = forwards(graph, from);
    let mut reached: Vec<(Standing, usize)> =
        to.iter().filter_map(|end| ways[*end].map(|way| (way.approval, *end))).collect();
    reached.sort_unstable();
    let Some((approval, end)) = reached.first().copied() else { return Found::default() };
    let mut paths = vec![path(graph, &steps_to(&ways, end), end)];
    let mut walk = Walk {
        graph,
        ends: to.iter().copied().collect(),
        leads: graph.behind(to),
        on_path: vec![false; graph.nodes.len()],
        stack: Vec::new(),
        steps: 0,
        truncated: false,
        found: Vec::new(),
    };
    for start in from {
        walk.from(*start);
    }
    let Walk { found, truncated, .. } = walk;
    let mut known: HashSet<Vec<(Kind, String, Standing)>> = paths.iter().map(shape).collect();
    paths.extend(found.into_iter().filter(|path| known.insert(shape(path))));
    paths[1..].sort_by(|a, b| a.approval.cmp(&b.approval).then(a.hops.len().cmp(&b.hops.len())));
    let more = paths.len() > LIMITS.paths;
    paths.truncate(LIMITS.paths);
    Found { easiest: Some(approval), paths, ends: Vec::new(), end_count: 0, truncated: truncated || more }
}

pub(super) fn ahead(graph: &Graph, from: &[usize]) -> Found {
    let ways = forwards(graph, from);
    let order = |kind: Kind| match kind {
        Kind::Outside => 0,
        Kind::Destination => 1,
        Kind::McpServer | Kind::Tool => 2,
        _ => 3,
    };
    let reached = ends(graph, &ways, from, |_| true);
    one_end(reached, |a, b| order(a.kind).cmp(&order(b.kind)), |end| path(graph, &steps_to(&ways, end), end))
}

pub(super) fn behind(graph: &Graph, to: &[usize]) -> Found {
    let ways = towards(graph, to);
    let reached = ends(graph, &ways, to, Kind::is_origin);
    one_end(
        reached,
        |_, _| std::cmp::Ordering::Equal,
        |origin| {
            let mut steps = Vec::new();
            let mut node = origin;
            while let Some((from, n)) = ways[node].and_then(|way| way.step) {
                steps.push((from, n));
                node = graph.nodes[from].steps[n].to;
            }
            path(graph, &steps, origin)
        },
    )
}

/// Each name that was reached, once, with its easiest way.
fn ends(graph: &Graph, ways: &[Option<Way>], starts: &[usize], keep: fn(Kind) -> bool) -> Vec<(End, usize)> {
    let mut all: Vec<(End, usize)> = Vec::new();
    let name = |node: usize| &graph.nodes[node].point;
    for (node, way) in ways.iter().enumerate() {
        let Some(way) = way.filter(|_| keep(name(node).kind)) else { continue };
        if starts.iter().any(|start| name(*start) == name(node)) {
            continue;
        }
        let end = End {
            kind: name(node).kind,
            id: name(node).id.clone(),
            approval: way.approval,
            gated: way.approval == Standing::Required,
        };
        all.push((end, node));
    }
    all.sort_by(|(a, _), (b, _)| (a.kind, &a.id, a.approval).cmp(&(b.kind, &b.id, b.approval)));
    all.dedup_by(|(a, _), (b, _)| a.kind == b.kind && a.id == b.id);
    all
}

fn one_end(
    mut reached: Vec<(End, usize)>,
    order: impl Fn(&End, &End) -> std::cmp::Ordering,
    path: impl Fn(usize) -> Path,
) -> Found {
    reached.sort_by(|(a, _), (b, _)| a.approval.cmp(&b.approval).then_with(|| order(a, b)));
    let end_count = reached.len();
    Found {
        easiest: reached.first().map(|(end, _)| end.approval),
        paths: reached.iter().take(LIMITS.paths).map(|(_, node)| path(*node)).collect(),
        truncated: end_count > LIMITS.paths,
        ends: reached.into_iter().take(LIMITS.ends).map(|(end, _)| end).collect(),
        end_count,
    }
}

fn steps_to(ways: &[Option<Way>], end: usize) -> Vec<(usize, usize)> {
    let (mut steps, mut node) = (Vec::new(), end);
    while let Some((from, n)) = ways[node].and_then(|way| way.step) {
        steps.push((from, n));
        node = from;
    }
    steps.reverse();
    steps
}

/// `only` is where it begins when there is no step.
fn path(graph: &Graph, steps: &[(usize, usize)], only: usize) -> Path {
    let start = steps.first().map_or(only, |(from, _)| *from);
    let mut hops = vec![begin(&graph.nodes[start])];
    hops.extend(steps.iter().map(|(from, n)| hop(graph, &graph.nodes[*from].steps[*n])));
    finish(hops)
}

fn begin(node: &Node) -> Hop {
    Hop {
        kind: node.point.kind,
        id: node.point.id.clone(),
        why: node.place.to_string(),
        approval: Standing::None,
        note: None,
    }
}

fn hop(graph: &Graph, step: &Step) -> Hop {
    let point = &graph.nodes[step.to].point;
    Hop {
        kind: point.kind,
        id: point.id.clone(),
        why: step.why.to_string(),
        approval: step.approval,
        note: step.note.map(str::to_owned),
    }
}

fn finish(hops: Vec<Hop>) -> Path {
    let approval = hops.iter().map(|hop| hop.approval).max().unwrap_or(Standing::None);
    Path { hops, approval, gated: approval == Standing::Required }
}

fn shape(path: &Path) -> Vec<(Kind, String, Standing)> {
    path.hops.iter().map(|hop| (hop.kind, hop.id.clone(), hop.approval)).collect()
}

/// Every simple path, as far as the limits go. Only points that lead to an end are entered.
struct Walk<'a> {
    graph: &'a Graph,
    ends: HashSet<usize>,
    leads: Vec<bool>,
    on_path: Vec<bool>,
    stack: Vec<(usize, usize)>,
    steps: usize,
    truncated: bool,
    found: Vec<Path>,
}

impl Walk<'_> {
    fn from(&mut self, node: usize) {
        if self.ends.contains(&node) {
            self.found.push(path(self.graph, &self.stack, node));
            return;
        }
        if self.stack.len() + 1 >= LIMITS.hops {
            self.truncated |= self.leads[node];
            return;
        }
        self.on_path[node] = true;
        for (n, step) in self.graph.nodes[node].steps.iter().enumerate() {
            if !self.leads[step.to] || self.on_path[step.to] {
                continue;
            }
            self.steps += 1;
            if self.steps > LIMITS.steps || self.found.len() > LIMITS.paths {
                self.truncated = true;
                break;
            }
            self.stack.push((node, n));
            self.from(step.to);
            self.stack.pop();
        }
        self.on_path[node] = false;
    }
}
