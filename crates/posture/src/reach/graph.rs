//! The graph: points, and the steps between them.
//!
//! A route stands in it once for everybody, and once more for each kind of source that it can win for, because what
//! follows it depends on the source. Those are other points under the same name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Kind, Point, Standing};

#[derive(Debug)]
pub(super) struct Node {
    pub point: Point,
    /// Where it can be seen.
    pub place: Arc<str>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub to: usize,
    pub why: Arc<str>,
    pub approval: Standing,
    pub note: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    by_name: HashMap<Point, usize>,
    copies: BTreeMap<Point, Vec<usize>>,
}

impl Graph {
    /// The point of this name, made where it is not there yet.
    pub fn node(&mut self, kind: Kind, id: &str, place: impl FnOnce() -> String) -> usize {
        let point = Point::new(kind, id);
        if let Some(known) = self.by_name.get(&point) {
            return *known;
        }
        self.nodes.push(Node { point: point.clone(), place: place().into(), steps: Vec::new() });
        self.by_name.insert(point, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Another point under a name.
    pub fn copy(&mut self, kind: Kind, id: &str, place: String) -> usize {
        let point = Point::new(kind, id);
        self.nodes.push(Node { point: point.clone(), place: place.into(), steps: Vec::new() });
        self.copies.entry(point).or_default().push(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    pub fn known(&self, kind: Kind, id: &str) -> Option<usize> {
        self.by_name.get(&Point::new(kind, id)).copied()
    }

    /// Every point of this name. Ids are compared as they are; a source, route or automation may also be named in
    /// another case.
    pub fn labelled(&self, point: &Point) -> Vec<usize> {
        let own = self.by_name.get(point).copied().or_else(|| {
            let same = |node: &Node| node.point.kind == point.kind && node.point.id.eq_ignore_ascii_case(&point.id);
            self.nodes.iter().position(same)
        });
        let name = own.and_then(|own| self.nodes.get(own)).map_or(point, |node| &node.point);
        own.into_iter().chain(self.copies.get(name).into_iter().flatten().copied()).collect()
    }

    pub fn step(&mut self, from: usize, to: usize, why: impl Into<Arc<str>>, approval: Standing) {
        self.noted(from, to, why, approval, None);
    }

    pub fn noted(
        &mut self,
        from: usize,
        to: usize,
        why: impl Into<Arc<str>>,
        approval: Standing,
        note: Option<&'static str>,
    ) {
        if let Some(node) = self.nodes.get_mut(from) {
            node.steps.push(Step { to, why: why.into(), approval, note });
        }
    }

    /// The steps to each point: where they come from, and which of them it is.
    pub fn backwards(&self) -> Vec<Vec<(usize, usize)>> {
        let mut back = vec![Vec::new(); self.nodes.len()];
        for (from, node) in self.nodes.iter().enumerate() {
            for (n, step) in node.steps.iter().enumerate() {
                back[step.to].push((from, n));
            }
        }
        back
    }

    /// Which points can be reached from these.
    pub fn ahead(&self, starts: &[usize]) -> Vec<bool> {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = starts.to_vec();
        while let Some(node) = waiting.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                waiting.extend(self.nodes[node].steps.iter().map(|step| step.to).filter(|to| !seen[*to]));
            }
        }
        seen
    }

    /// Which points these can be reached from.
    pub fn behind(&self, ends: &[usize]) -> Vec<bool> {
        let back = self.backwards();
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = ends.to_vec();
        while let Some(node) = waiting.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                waiting.extend(back[node].iter().map(|(from, _)| *from).filter(|from| !seen[*from]));
            }
        }
        seen
    }
}
