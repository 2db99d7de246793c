//! What an engine's version allows.

/// Abilities and the versions that brought them, as the official SDKs ask for them; whether our worker needs them.
const GATES: [((u32, u32, u32), &str, bool); 5] = [
    ((0, 78, 23), "slot types", true),
    ((0, 80, 0), "durable eviction", false),
    ((0, 82, 0), "traces", false),
    ((0, 88, 1), "batch tasks", false),
    ((0, 111, 0), "retry delays chosen by a task", false),
];

/// What to say of a version, and whether our worker can do all with it.
pub(super) fn judge(version: &str) -> (bool, String) {
    let Some(numbers) = parse(version) else {
        return (true, format!("{version}, of unknown abilities: our worker takes it for a current one"));
    };
    // Development builds call themselves v0.1.0-alpha.0.
    if version.contains('-') && numbers < GATES[0].0 {
        return (true, format!("{version}, a development build: our worker takes it for a current one"));
    }
    let has: Vec<&str> = GATES.iter().filter(|gate| numbers >= gate.0).map(|gate| gate.1).collect();
    let lacks = |needed: bool| -> Vec<String> {
        let missing = GATES.iter().filter(|gate| numbers < gate.0 && gate.2 == needed);
        missing.map(|((a, b, c), what, _)| format!("{what} (from v{a}.{b}.{c})")).collect()
    };
    let mut said = version.to_owned();
    if !has.is_empty() {
        said += &format!(", has {}", has.join(", "));
    }
    if !lacks(false).is_empty() {
        said += &format!(", lacks {}, which nothing here needs", lacks(false).join(", "));
    }
    if lacks(true).is_empty() {
        (true, said)
    } else {
        (false, format!("{said}, and lacks {}, without which CPU tasks never start: update it", lacks(true).join(", ")))
    }
}

fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let plain = version.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = plain.split('.').map(|number| number.parse().ok());
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, fine, part) in [
            ("v0.101.27", true, "lacks retry delays chosen by a task (from v0.111.0)"),
            ("v0.111.0", true, "has slot types, durable eviction, traces, batch tasks, retry delays"),
            ("v1.0.0-rc.1", true, "has slot types"),
            ("v0.78.9", false, "lacks slot types (from v0.78.23), without which"),
            ("v0.1.0-alpha.0", true, "a development build"),
            ("latest", true, "of unknown abilities"),
            ("v1.2.3.4", true, "of unknown abilities"),
        ] {
            let (good, said) = judge(version);
            assert_eq!(good, fine, "{said}");
            assert!(said.contains(part), "{said}");
        }
    }
}
