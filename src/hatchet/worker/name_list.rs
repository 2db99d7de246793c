//! Lists of names in log lines.

/// Maximum number of names in one log line.
const MAX_NAMES: usize = 20;

/// Joins the names with commas. After the first 20, appends the number of the others.
pub(crate) fn list_names(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_NAMES).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_is_cut_and_counted() {
        let names: Vec<String> = (1..=MAX_NAMES + 2).map(|n| n.to_string()).collect();
        assert_eq!(list_names(&names[..2]), "1, 2");
        assert!(list_names(&names).ends_with(", 19, 20 and 2 more"), "{}", list_names(&names));
        assert_eq!(list_names(&[""; 0]), "");
    }
}
