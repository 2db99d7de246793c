//! No cycles between the files of one folder.
//!
//! The nodes of a folder are its files and sub-folders; `mod.rs` is the parent. A child may use items that the parent
//! defines only if the parent does not use the child. Declaring it (`mod child;`) and re-exporting its items
//! (`pub use child::Item;`) do not count as uses.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_only_known, paths::references, source::files};

/// The parent's node.
const PARENT: &str = "mod";

/// Cycles that exist: `<folder>: <node> <node> …`, nodes in alphabetical order. The test prints the uses of each.
const KNOWN_CYCLES: &[&str] = &[
    // `hatchet::testing` starts an engine, and the engine uses `hatchet::wire`.
    ": engine hatchet",
];

/// By node: the nodes that it uses, each with an example for the output.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// The dependencies between the nodes of each folder.
fn folders() -> BTreeMap<Vec<String>, Graph> {
    let files = files();
    let (references, _) = references(&files);
    // Modules with a folder of their own.
    let parents: BTreeSet<&Vec<String>> = files
        .iter()
        .filter(|file| file.path.ends_with("mod.rs") || file.path.ends_with("lib.rs"))
        .map(|f| &f.module)
        .collect();
    let mut folders: BTreeMap<Vec<String>, Graph> = BTreeMap::new();
    for reference in references {
        let from = &files[reference.file].module;
        let shared = from.iter().zip(&reference.module).take_while(|(a, b)| a == b).count();
        let folder = from[..shared].to_vec();
        // A file with an inline module has no folder.
        if !parents.contains(&folder) {
            continue;
        }
        let node = |module: &[String]| module.get(shared).cloned().unwrap_or_else(|| PARENT.to_owned());
        let (user, used) = (node(from), node(&reference.module));
        if user != used && !(user == PARENT && reference.is_reexport) {
            let example = format!("{}: {}", files[reference.file].path.display(), reference.written);
            folders.entry(folder).or_default().entry(user).or_default().entry(used).or_insert(example);
        }
    }
    folders
}

/// All nodes that can be reached from a node.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(node) = next.pop() {
        for used in graph.get(node).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(used.clone()) {
                next.push(used);
            }
        }
    }
    reached
}

/// The sets of nodes that use each other, each with more than one node.
fn cycles(graph: &Graph) -> BTreeSet<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> = graph.keys().map(|node| (node, reachable(graph, node))).collect();
    let component = |node: &String| -> Vec<String> {
        let others = reach[node].iter().filter(|other| reach.get(other).is_some_and(|back| back.contains(node)));
        others.cloned().collect()
    };
    graph.keys().map(component).filter(|nodes| nodes.len() > 1).collect()
}

#[test]
fn folders_have_no_cycles() {
    let mut found = BTreeSet::new();
    for (folder, graph) in folders() {
        for nodes in cycles(&graph) {
            for (user, uses) in graph.iter().filter(|(node, _)| nodes.contains(node)) {
                for (used, example) in uses.iter().filter(|(node, _)| nodes.contains(node)) {
                    println!("{}: {user} uses {used}, as in {example}", folder.join("/"));
                }
            }
            found.insert(format!("{}: {}", folder.join("/"), nodes.join(" ")));
        }
    }
    assert_only_known("the files of a folder do not use each other in a cycle", found, KNOWN_CYCLES);
}

#[test]
fn cycle_search_finds_each_set_once() {
    let edges = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"), ("e", "a")];
    let mut graph = Graph::new();
    for (user, used) in edges {
        graph.entry(user.to_owned()).or_default().insert(used.to_owned(), String::new());
    }
    let found: Vec<String> = cycles(&graph).iter().map(|nodes| nodes.join(" ")).collect();
    assert_eq!(found, ["a b", "c d"]);
}
