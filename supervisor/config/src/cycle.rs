//! Cycles among apps that wait for one another. Pure; edges to names that are not in the map are
//! left to whoever knows the other files.

use std::collections::BTreeMap;

use supervisor_core::Name;

/// A cycle in `edges`, as the names on it in order, each waiting for the next and the last for the
/// first. `None` where there is none.
#[must_use]
pub fn find_cycle(edges: &BTreeMap<Name, Vec<Name>>) -> Option<Vec<Name>> {
    let mut done: BTreeMap<&Name, bool> = BTreeMap::new();
    for start in edges.keys() {
        if let Some(cycle) = cycle_from(start, edges, &mut done) {
            return Some(cycle);
        }
    }
    None
}

/// Goes down from `start`; `done` holds false for what is on the way and true for what is finished.
/// A list instead of recursion: a chain as long as a file can hold would use up the stack.
fn cycle_from<'e>(
    start: &'e Name,
    edges: &'e BTreeMap<Name, Vec<Name>>,
    done: &mut BTreeMap<&'e Name, bool>,
) -> Option<Vec<Name>> {
    if done.contains_key(start) {
        return None;
    }
    done.insert(start, false);
    let mut way = vec![(start, edges[start].iter())];
    while let Some((name, rest)) = way.last_mut() {
        let Some(next) = rest.next() else {
            done.insert(name, true);
            way.pop();
            continue;
        };
        match (done.get(next), edges.get(next)) {
            (Some(true), _) | (None, None) => {}
            (Some(false), _) => {
                let on_cycle = way
                    .iter()
                    .map(|(name, _)| *name)
                    .skip_while(|name| *name != next);
                return Some(on_cycle.cloned().collect());
            }
            (None, Some(further)) => {
                done.insert(next, false);
                way.push((next, further.iter()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(number: usize) -> Name {
        Name::new(&format!("n{number}")).expect("a name")
    }

    fn graph(edges: &[(usize, usize)]) -> BTreeMap<Name, Vec<Name>> {
        let mut graph: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(name(*from)).or_default().push(name(*to));
        }
        graph
    }

    #[test]
    fn the_way_round_is_told_without_the_way_there() {
        let cycle = find_cycle(&graph(&[(0, 1), (1, 2), (2, 3), (3, 1)]));
        assert_eq!(cycle, Some(vec![name(1), name(2), name(3)]));
        assert_eq!(find_cycle(&graph(&[(5, 5)])), Some(vec![name(5)]));
        assert_eq!(find_cycle(&graph(&[(0, 1), (0, 2), (1, 3), (2, 3)])), None);
        assert_eq!(find_cycle(&graph(&[(0, 9)])), None);
    }

    #[test]
    fn a_long_chain_does_not_use_up_the_stack() {
        let chain: Vec<_> = (0..100_000).map(|n| (n, n + 1)).collect();
        assert_eq!(find_cycle(&graph(&chain)), None);
    }

    proptest! {
        #[test]
        fn a_cycle_is_found_exactly_where_there_is_one(
            edges in proptest::collection::vec((0..8usize, 0..8usize), 0..14)
        ) {
            // Reference: names without a way on are taken out until none is left or none can be.
            let mut left = edges.clone();
            while let Some(gone) = left.iter().position(|(_, to)| left.iter().all(|(from, _)| from != to)) {
                left.remove(gone);
            }
            let found = find_cycle(&graph(&edges));
            prop_assert_eq!(found.is_some(), !left.is_empty());
            if let Some(cycle) = found {
                let graph = graph(&edges);
                for (at, name) in cycle.iter().enumerate() {
                    prop_assert!(graph[name].contains(&cycle[(at + 1) % cycle.len()]));
                }
            }
        }
    }
}
