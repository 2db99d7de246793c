//! The place where the engine compiles CEL expressions.

use std::collections::BTreeSet;

use super::{
    assert_only_known,
    source::{File, Token, files},
};

/// The types with a compiled expression.
const TYPES: [&str; 4] = ["Program", "Expression", "TaskExpression", "Predicate"];

/// The files that define these types.
const DEFINITIONS: [&str; 5] = [
    "engine/cel/mod.rs",
    "engine/expression.rs",
    "engine/state/expression.rs",
    "engine/state/idempotency/expression.rs",
    "engine/state/predicate.rs",
];

/// Whether the code of a file compiles an expression.
fn compiles(file: &File) -> bool {
    file.tokens.windows(3).any(|tokens| {
        TYPES.iter().any(|name| tokens[0].is_ident(name))
            && tokens[1] == Token::PathSeparator
            && tokens[2].is_ident("compile")
    })
}

#[test]
fn expressions_are_compiled_by_validation_only() {
    let files = files();
    let compiling: Vec<String> =
        files.iter().filter(|file| compiles(file)).map(|file| file.path.display().to_string()).collect();
    assert!(compiling.iter().any(|path| path.starts_with("engine/validate/")), "{compiling:?}");
    let outside = |path: &&String| !path.starts_with("engine/validate/") && !DEFINITIONS.contains(&path.as_str());
    let found: BTreeSet<String> = compiling.iter().filter(outside).cloned().collect();
    assert_only_known("only `engine::validate` compiles expressions", found, &[]);
}
