//! Which routes can never win, because one that comes before them matches whatever they match.
//!
//! A route covers another when each of its matchers is also one of the other's, with no word missing: then every signal
//! that the other matches is its own. Routes are looked up by one of their words, the rarest, so that a long list is
//! compared with few. Deliberately absent: several routes that cover one only together.

use std::collections::HashMap;

use crate::inventory::RouteRow;

/// Routes that a route is compared with at most. More share all of their words only in lists made to be slow.
const COMPARED: usize = 256;
const FIELDS: usize = 14;

type Words = [Vec<String>; FIELDS];

/// Shadowed routes, each with the first route that covers it.
pub(super) fn find(routes: &[RouteRow]) -> Vec<(&RouteRow, &RouteRow)> {
    let mut order: Vec<&RouteRow> = routes.iter().filter(|route| route.enabled).collect();
    // The order in which the router asks them.
    order.sort_by(|a, b| {
        b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)).then_with(|| a.route_id.cmp(&b.route_id))
    });
    let words: Vec<Words> = order.iter().map(|route| words(route)).collect();
    let mut common: HashMap<(usize, &str), usize> = HashMap::new();
    for (field, word) in words.iter().flat_map(each) {
        *common.entry((field, word)).or_insert(0) += 1;
    }
    let mut by_word: HashMap<(usize, &str), Vec<usize>> = HashMap::new();
    let mut catch_all = None;
    let mut found = Vec::new();
    for (n, own) in words.iter().enumerate() {
        if let Some(by) = catch_all.or_else(|| covering(own, &words, &by_word)) {
            // What covers the one that covers covers this as well, so it need not be kept.
            found.push((order[n], order[by]));
            continue;
        }
        match rarest(own, &common) {
            None => catch_all = Some(n),
            Some(field) => {
                for word in &own[field] {
                    by_word.entry((field, word)).or_default().push(n);
                }
            }
        }
    }
    found
}

fn covering(own: &Words, words: &[Words], by_word: &HashMap<(usize, &str), Vec<usize>>) -> Option<usize> {
    let firsts = own.iter().enumerate().filter_map(|(field, list)| Some((field, list.first()?.as_str())));
    let mut candidates: Vec<usize> =
        firsts.filter_map(|key| by_word.get(&key)).flatten().take(COMPARED).copied().collect();
    candidates.sort_unstable();
    candidates.into_iter().find(|n| covers(&words[*n], own))
}

fn covers(wider: &Words, own: &Words) -> bool {
    wider.iter().zip(own).all(|(wider, own)| {
        wider.is_empty() || (!own.is_empty() && own.iter().all(|word| wider.binary_search(word).is_ok()))
    })
}

/// The matcher whose words the fewest routes share.
fn rarest(own: &Words, common: &HashMap<(usize, &str), usize>) -> Option<usize> {
    let shared = |field: usize| -> usize {
        own[field].iter().map(|word| common.get(&(field, word.as_str())).copied().unwrap_or(0)).sum()
    };
    (0..FIELDS).filter(|field| !own[*field].is_empty()).min_by_key(|field| shared(*field))
}

fn each(words: &Words) -> impl Iterator<Item = (usize, &str)> {
    words.iter().enumerate().flat_map(|(field, list)| list.iter().map(move |word| (field, word.as_str())))
}

fn words(route: &RouteRow) -> Words {
    let m = &route.matches;
    [
        &m.event_types,
        &m.sources,
        &m.components,
        &m.risk_levels,
        &m.risk_categories,
        &m.confidence,
        &m.expected_destinations,
        &m.project_ids,
        &m.log_source_ids,
        &m.route_tags,
        &m.source_kinds,
        &m.tenant_ids,
        &m.workspace_ids,
        &m.event_schema_versions,
    ]
    .map(|list| {
        // A blank word matches nothing, but a matcher of blank words is still one that must be met.
        let mut list: Vec<String> = list.iter().map(|word| word.trim().to_lowercase()).collect();
        list.sort_unstable();
        list.dedup();
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::RouteMatchRow;

    fn route(id: &str, priority: i64, set: impl FnOnce(&mut RouteMatchRow)) -> RouteRow {
        let mut matches = RouteMatchRow::default();
        set(&mut matches);
        RouteRow {
            route_id: id.into(),
            name: id.into(),
            enabled: true,
            priority,
            destination_ids: Vec::new(),
            approval_policy: "inherit".into(),
            auto_publish: false,
            matches,
        }
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn pairs(routes: &[RouteRow]) -> Vec<(&str, &str)> {
        find(routes).into_iter().map(|(own, by)| (own.route_id.as_str(), by.route_id.as_str())).collect()
    }

    #[test]
    fn what_covers_what() {
        let ci = |m: &mut RouteMatchRow| m.sources = list(&["CI "]);
        let wide = |m: &mut RouteMatchRow| m.sources = list(&["ci", "app"]);
        let narrow = |m: &mut RouteMatchRow| {
            m.sources = list(&["ci"]);
            m.risk_levels = list(&["high"]);
        };
        // Equal, narrower and listed matchers are covered, wider ones and those of another field are not.
        assert_eq!(pairs(&[route("a", 1, ci), route("b", 0, ci)]), [("b", "a")]);
        assert_eq!(pairs(&[route("a", 1, wide), route("b", 0, ci)]), [("b", "a")]);
        assert_eq!(pairs(&[route("a", 1, ci), route("b", 0, wide)]), []);
        assert_eq!(pairs(&[route("a", 1, ci), route("b", 0, narrow)]), [("b", "a")]);
        assert_eq!(pairs(&[route("a", 1, narrow), route("b", 0, ci)]), []);
        assert_eq!(pairs(&[route("a", 1, |m| m.components = list(&["ci"])), route("b", 0, ci)]), []);
        // Priority decides, then the name; a catch-all covers everything behind it.
        assert_eq!(pairs(&[route("b", 0, ci), route("a", 0, ci)]), [("b", "a")]);
        assert_eq!(pairs(&[route("all", 5, |_| {}), route("b", 0, ci), route("c", 9, ci)]), [("b", "all")]);
        let mut off = route("a", 1, ci);
        off.enabled = false;
        assert_eq!(pairs(&[off, route("b", 0, ci)]), []);
    }

    #[test]
    fn many_routes_of_one_risk_level_stay_apart() {
        let one = |n: usize| {
            route(&format!("r{n}"), 0, |m| {
                m.risk_levels = list(&["high"]);
                m.components = vec![format!("c{n}")];
            })
        };
        assert!(find(&(0..2_000).map(one).collect::<Vec<_>>()).is_empty());
    }
}
