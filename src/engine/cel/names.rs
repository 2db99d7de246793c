//! The free names of an expression, which its environment must declare.

use super::{
    tree::{Fold, Node, Step},
    value::TYPES,
};

/// The first name that is neither declared, nor a type, nor the variable of a macro around it.
pub(super) fn undeclared<'a>(root: &'a Node, declared: &[&str]) -> Option<&'a str> {
    let mut names = Vec::new();
    collect(root, &mut Vec::new(), &mut names);
    names.into_iter().find(|name| !declared.contains(name) && !TYPES.contains(name))
}

/// Whether the expression uses this name of its environment.
pub(super) fn uses(root: &Node, name: &str) -> bool {
    let mut names = Vec::new();
    collect(root, &mut Vec::new(), &mut names);
    names.contains(&name)
}

fn collect<'a>(node: &'a Node, bound: &mut Vec<&'a str>, names: &mut Vec<&'a str>) {
    match node {
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Uint(_) | Node::Double(_) | Node::Text(_) => {}
        Node::Name(name) if bound.contains(&name.as_str()) => {}
        Node::Name(name) => names.push(name),
        Node::List(nodes) | Node::And(nodes) | Node::Or(nodes) | Node::Call(_, nodes) => {
            nodes.iter().for_each(|node| collect(node, bound, names));
        }
        Node::Map(entries) => {
            for (key, value) in entries {
                collect(key, bound, names);
                collect(value, bound, names);
            }
        }
        Node::Not(node) | Node::Negate(node) | Node::Has(node, _) => collect(node, bound, names),
        Node::If(parts) => [&parts.0, &parts.1, &parts.2].into_iter().for_each(|node| collect(node, bound, names)),
        Node::Chain(first, rest) => {
            collect(first, bound, names);
            rest.iter().for_each(|(_, node)| collect(node, bound, names));
        }
        Node::Path(root, steps) => {
            collect(root, bound, names);
            steps.iter().for_each(|step| collect_step(step, bound, names));
        }
    }
}

fn collect_step<'a>(step: &'a Step, bound: &mut Vec<&'a str>, names: &mut Vec<&'a str>) {
    match step {
        Step::Field(_) => {}
        Step::Index(node) => collect(node, bound, names),
        Step::Call(_, nodes) => nodes.iter().for_each(|node| collect(node, bound, names)),
        Step::Fold(fold) => {
            let Fold { variable, guard, body, .. } = &**fold;
            bound.push(variable);
            guard.iter().for_each(|node| collect(node, bound, names));
            collect(body, bound, names);
            bound.pop();
        }
    }
}
