//! Checks whether an engine's version has the features that a worker needs.

/// A feature: the version that introduced it, its name, and whether this library's worker needs it.
type Feature = ((u32, u32, u32), &'static str, bool);

/// Features that the official SDKs make dependent on the version.
const FEATURES: [Feature; 5] = [
    ((0, 78, 23), "slot types", true),
    ((0, 80, 0), "durable eviction", false),
    ((0, 82, 0), "traces", false),
    ((0, 88, 1), "batch tasks", false),
    ((0, 111, 0), "retry delays chosen by a task", false),
];

/// Whether a worker of this library works with a version, and a description of its features.
pub(super) fn check(version: &str) -> (bool, String) {
    let Some(numbers) = parse(version) else {
        return (true, format!("{version}, with unknown features: treated as the current version"));
    };
    // Development builds report v0.1.0-alpha.0.
    if version.contains('-') && numbers < FEATURES[0].0 {
        return (true, format!("{version}, a development build: treated as the current version"));
    }
    let has: Vec<&str> = FEATURES.iter().filter(|feature| numbers >= feature.0).map(|feature| feature.1).collect();
    let lacks = |needed: bool| -> Vec<String> {
        let missing = FEATURES.iter().filter(|feature| numbers < feature.0 && feature.2 == needed);
        missing.map(|((a, b, c), name, _)| format!("{name} (from v{a}.{b}.{c})")).collect()
    };
    let mut description = version.to_owned();
    if !has.is_empty() {
        description += &format!(", has {}", has.join(", "));
    }
    if !lacks(false).is_empty() {
        description += &format!(", lacks {}, which this program does not need", lacks(false).join(", "));
    }
    if lacks(true).is_empty() {
        (true, description)
    } else {
        let missing = lacks(true).join(", ");
        (false, format!("{description}, and lacks {missing}, without which CPU tasks never start: update the engine"))
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
    use super::check;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, works, part) in [
            ("v0.101.27", true, "lacks retry delays chosen by a task (from v0.111.0)"),
            ("v0.111.0", true, "has slot types, durable eviction, traces, batch tasks, retry delays"),
            ("v1.0.0-rc.1", true, "has slot types"),
            ("v0.78.9", false, "lacks slot types (from v0.78.23), without which"),
            ("v0.1.0-alpha.0", true, "a development build"),
            ("latest", true, "with unknown features"),
            ("v1.2.3.4", true, "with unknown features"),
        ] {
            let (ok, description) = check(version);
            assert_eq!(ok, works, "{description}");
            assert!(description.contains(part), "{description}");
        }
    }
}
