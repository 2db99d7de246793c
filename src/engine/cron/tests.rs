use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// 2026-01-02 03:04:05.678 UTC, a Friday.
const FROM: u64 = 1_767_323_045_678;

fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap();
    prost_types::Timestamp { seconds, nanos: 0 }.to_string()
}

#[test]
fn next_time_is_later_and_in_utc() {
    let next = |text: &str| rfc3339(CronRule::parse(text).unwrap().next_after(FROM).unwrap());
    for (text, time) in [
        ("* * * * *", "2026-01-02T03:05:00Z"),
        ("*/10 * * * * *", "2026-01-02T03:04:10Z"),
        ("5 4 3 2 *", "2026-02-03T04:05:00Z"),
        ("0 0 * * 0", "2026-01-04T00:00:00Z"),
        ("0 12 13 * FRI", "2026-01-02T12:00:00Z"),
        ("@hourly", "2026-01-02T04:00:00Z"),
        ("@midnight", "2026-01-03T00:00:00Z"),
    ] {
        assert_eq!(next(text), time, "{text}");
    }
    let exact = 1_767_323_100_000;
    assert!(CronRule::parse("* * * * *").unwrap().next_after(exact).unwrap() > exact, "later than an exact match");
}

#[test]
fn error_contains_the_expression_and_the_reason() {
    for (text, reason) in [
        ("0 0 * * 7", "invalid cron expression \"0 0 * * 7\": `7` is not a valid weekday"),
        ("0 0 30 2 *", "invalid cron expression \"0 0 30 2 *\": it never fires"),
        ("TZ=Nowhere/X * * * * *", "`Nowhere/X`"),
        ("TZ=Nowhere/X @every 1h", "`Nowhere/X`"),
    ] {
        let error = CronRule::parse(text).unwrap_err();
        assert!(error.contains(reason) && !error.contains('\n'), "{text}: {error}");
    }
    assert!(CronRule::parse_declared("@daily").unwrap_err().contains("descriptors"));
    assert!(CronRule::parse_declared("TZ=UTC 0 0 * * *").is_ok());
}

#[test]
fn stored_expression_refused_today_never_fires() {
    let rule = CronRule::restored("0 0 L * *".to_owned());
    assert_eq!((rule.text(), rule.next_after(FROM)), ("0 0 L * *", None));
}

/// The times of an expression in the format of the table.
fn behavior(text: &str, from: i64, days: i64) -> String {
    let rule = match CronRule::parse(text) {
        Ok(rule) => rule,
        Err(reason) if reason.contains("never fires") => return "NEVER".to_owned(),
        Err(_) => return "REFUSED".to_owned(),
    };
    let (mut count, mut hash, mut first) = (0, 0xcbf2_9ce4_8422_2325_u64, String::new());
    let mut time = u64::try_from(from).unwrap() * 1000;
    let until = time + u64::try_from(days).unwrap() * 86_400_000;
    while let Some(next) = rule.next_after(time).filter(|next| *next < until && count < 500) {
        time = next;
        count += 1;
        for byte in format!("{}\n", next / 1000).bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if count <= 2 {
            let _ = write!(first, "{}{}", if count == 1 { "" } else { " " }, rfc3339(next));
        }
    }
    format!("{from}\t{days}\t{count}\t{hash:016x}\t{first}")
}

#[test]
fn expressions_fire_when_robfig_cron_fires_them() {
    let mut wrong = Vec::new();
    let rows = include_str!("times.tsv").lines().filter(|line| !line.starts_with('#'));
    for row in rows {
        let (text, expected) = row.split_once('\t').map_or((row, ""), |_| {
            // An expression may contain tabs; the number of fields after it is fixed.
            let fields = if row.ends_with("REFUSED") || row.ends_with("NEVER") { 1 } else { 5 };
            let cut = row.rmatch_indices('\t').nth(fields - 1).unwrap().0;
            (&row[..cut], &row[cut + 1..])
        });
        let mut parts = expected.split('\t').map(|part| part.parse::<i64>().unwrap_or(0));
        let found = behavior(text, parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found != expected {
            wrong.push(format!("`{text}`\n  robfig/cron: {expected}\n  here:        {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_accepts_go_durations_from_one_second() {
    let interval = |text: &str| {
        let rule = CronRule::parse(text).unwrap_or_else(|error| panic!("{error}"));
        (rule.next_after(FROM).unwrap() - FROM / 1000 * 1000) / 1000
    };
    for (text, seconds) in [
        ("@every 1ns", 1),
        ("@every 1µs", 1),
        ("@every 999ms", 1),
        ("@every -1s", 1),
        ("@every 0", 1),
        ("@every 1.9s", 1),
        ("@every +1m30s", 90),
        ("@every 1h2m3.5s", 3723),
        ("CRON_TZ=Asia/Tokyo @every 2s", 2),
    ] {
        assert_eq!(interval(text), seconds, "{text}");
    }
    for bad in ["@every", "@every ", "@every 1d", "@every 5", "@every 1 s", "@every  1s", "@every soon"] {
        assert!(CronRule::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "[ *,/@0-9a-zA-Z#?-]{0,20}") {
        let _ = CronRule::parse(&text).map(|rule| rule.next_after(FROM));
    }

    #[test]
    fn next_time_is_later_from_any_time(text in "([0-9*,/-]{1,4} ){4}[0-9*,/-]{1,4}", from in 0..u64::MAX / 2) {
        if let Ok(rule) = CronRule::parse(&text) {
            for from in [from, from % 4_000_000_000_000] {
                prop_assert!(rule.next_after(from).is_none_or(|next| next > from));
            }
        }
    }
}
