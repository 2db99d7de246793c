//! Rules on the layout of `src`: dependencies between modules, no cycles between files of a folder, sizes, the place where
//! expressions are compiled.
//!
//! `.github/CONTRIBUTING.md` states the rules. They are checked on the tokens of the source files, without the
//! compiler: [`source`] reads the files, [`paths`] finds the paths in them and resolves each to the module that defines
//! the item, re-exports included.
//!
//! Each rule has a list of known exceptions next to it. A violation that is not listed fails the test, and so does an
//! exception that no longer occurs.

mod cycles;
mod expressions;
mod modules;
mod paths;
mod sizes;
mod source;

use std::collections::BTreeSet;

/// Compares the violations found with the known exceptions, and panics with the differences in both directions.
fn assert_only_known(rule: &str, found: BTreeSet<String>, known: &[&str]) {
    let known: BTreeSet<String> = known.iter().map(|entry| (*entry).to_owned()).collect();
    let list = |entries: BTreeSet<&String>| entries.into_iter().map(|entry| format!("\n  {entry}")).collect::<String>();
    let (new, stale) = (list(found.difference(&known).collect()), list(known.difference(&found).collect()));
    assert!(new.is_empty(), "{rule}; violations:{new}");
    assert!(stale.is_empty(), "{rule}; remove the exceptions that no longer occur:{stale}");
}
