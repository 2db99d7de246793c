use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{
    Fault, MAX_TEXT, Program, Value,
    parser::{MAX_CONTAINERS, MAX_DEPTH},
};

/// The value as JSON; whole numbers of JSON are integers of the language, others are doubles.
fn json_of(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::Uint(n) => json!(n),
        Value::Double(n) => json!(n),
        Value::Text(text) => json!(&**text),
        Value::List(list) => list.iter().map(|value| json_of(&value)).collect(),
        Value::Map(map) => map.entries().iter().map(|(key, value)| json!([json_of(key), json_of(value)])).collect(),
        Value::Timestamp(timestamp) => json!(timestamp.to_string()),
        Value::Duration(duration) => json!(duration.as_secs_f64()),
        Value::Type(name) => json!(name),
    }
}

fn evaluate(text: &str, input: &Json) -> Result<Json, Fault> {
    let program = Program::compile(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
    program.evaluate(&[("input", Value::from_json(input))]).map(|value| json_of(&value))
}

fn input() -> Json {
    json!({
        "id": "a", "n": 5, "pi": 3.5, "big": 1_234_567, "ok": true, "none": null,
        "tags": ["x", "y", "z"], "rows": [{"k": 1, "s": "one"}, {"k": 2, "s": "two"}], "map": {"a": 1, "b": 2},
    })
}

#[test]
fn expressions_have_the_values_that_cel_defines() {
    let input = input();
    for (text, value) in [
        ("input.id", json!("a")),
        ("input['id']", json!("a")),
        ("input.rows[1].s", json!("two")),
        ("input.tags[input.n - 4.0]", json!("y")),
        ("'w:' + string(input.n) + ':' + input.id", json!("w:5:a")),
        ("string(input.big)", json!("1.234567e+06")),
        ("string(input.pi)", json!("3.5")),
        ("string(1234567)", json!("1234567")),
        ("has(input.id) ? input.id : 'none'", json!("a")),
        ("has(input.nope) || has(input.map.a)", json!(true)),
        ("has(input.map.c)", json!(false)),
        ("input.n == 5 && input.n == 5u && 5 == 5.0", json!(true)),
        ("input.n > 4 && input.n <= 5 && 'a' < 'b'", json!(true)),
        ("1 + 2 * 3 - 4 / 2 % 3", json!(5)),
        ("7 / 2 == 3 && -7 % 3 == -1 && 7.0 / 2.0 == 3.5", json!(true)),
        ("--2 + -(3)", json!(-1)),
        ("!true || !!true", json!(true)),
        ("-9223372036854775808 < 0", json!(true)),
        ("0xff == 255 && 1e3 == 1000.0 && .5 == 0.5 && 7u == 7", json!(true)),
        (r#""a\n\x41\u00e9\101" + r'\n' + '''it's'''"#, json!("a\nAéA\\nit's")),
        ("true ? 1 : false ? 2 : 3", json!(1)),
        ("[1, 2] + [3,] == [1, 2, 3]", json!(true)),
        ("{'a': 1, 2: [true]}[2][0]", json!(true)),
        ("{'a': 1.0, 'b': 2.0} == input.map", json!(true)),
        ("2 in [1, 2] && 'a' in input.map && !('q' in input.map)", json!(true)),
        ("input.tags.all(t, size(t) == 1)", json!(true)),
        ("input.tags.exists(t, t == 'y')", json!(true)),
        ("input.rows.exists_one(r, r.k == 2)", json!(true)),
        ("input.rows.map(r, r.s)", json!(["one", "two"])),
        ("input.rows.map(r, r.k > 1, r.s)", json!(["two"])),
        ("input.rows.filter(r, r.k < 2).size()", json!(1)),
        ("input.map.map(k, k)", json!(["a", "b"])),
        ("[1, 2].all(x, [x].all(x, x > 0) && x < 3)", json!(true)),
        ("size('héllo') + size(input.map) + input.id.size()", json!(8)),
        ("'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", json!(true)),
        (r"input.id.matches('^[a-z]\\w*$') && matches('x', 'x|y')", json!(true)),
        ("type(input.n) == double && type(1) == int && type(input) == map", json!(true)),
        ("int('7') + int(3.9) + int(2u)", json!(12)),
        ("double('1.5') + double(1)", json!(2.5)),
        ("bool('true') && dyn(true)", json!(true)),
        ("uint(3) // the end", json!(3)),
        ("timestamp('2024-02-29T23:30:00+01:00') == timestamp('2024-02-29T22:30:00Z')", json!(true)),
        ("timestamp('2024-01-01T00:00:00Z') + duration('36h') < timestamp('2024-01-03T00:00:00Z')", json!(true)),
        ("timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')", json!(true)),
        ("duration('1h30m') - duration('90m') >= -duration('0s')", json!(true)),
        ("string(timestamp(0) + duration('1.5s')) + string(duration('1m0.5s'))", json!("1970-01-01T00:00:01.5Z60.5s")),
        ("int(timestamp('1970-01-01T00:01:00Z')) + int(duration('2ns'))", json!(62)),
        ("timestamp('2024-03-05T06:07:08.009Z').getMonth() * 100 + timestamp(0).getDate()", json!(201)),
        ("timestamp('2024-03-05T06:07:08.009Z').getDayOfWeek() + timestamp(0).getDayOfYear()", json!(2)),
        ("duration('90m').getHours() + duration('90m').getMinutes()", json!(91)),
        ("input.nope == 1 || true", json!(true)),
        ("[1, 0].exists(x, 2 / x == 2)", json!(true)),
    ] {
        assert_eq!(evaluate(text, &input), Ok(value), "{text}");
    }
}

#[test]
fn evaluation_error_names_the_operation() {
    let input = input();
    for (text, part) in [
        ("input.nope", "nope"),
        ("nope", "unknown variable `nope`"),
        ("input.id.x", "string has no field `x`"),
        ("input.n + 1", "double and int: numbers of the input are doubles"),
        ("'a' + 1", "`+`"),
        ("!1", "`!`"),
        ("1 ? 2 : 3", "condition"),
        ("input.tags[3]", "3 elements"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "out of range"),
        ("-(-9223372036854775808)", "out of range"),
        ("int('x')", "`int`"),
        ("int(1e30)", "`int`"),
        ("size(1)", "`size`"),
        ("timestamp('soon')", "`timestamp`"),
        ("duration('1d')", "`duration`"),
        ("duration('1s').getMonth()", "`getMonth`"),
        ("timestamp(0) + timestamp(0)", "`+`"),
        ("'a'.matches('(')", "regular expression"),
        ("'a'.matches('(a{1000}){1000}')", "regular expression"),
        ("{'a': 1, 'a': 2}", "twice"),
        ("{1.5: 1}", "key"),
        ("1.all(x, true)", "macro"),
        ("input.nope == 1 && true", "nope"),
    ] {
        match evaluate(text, &input) {
            Err(Fault::Error(reason)) => assert!(reason.contains(part) && !reason.contains('\n'), "{text}: {reason}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn parse_error_names_its_position() {
    let deep = "(".repeat(100_000);
    let too_long = "1+".repeat(MAX_TEXT);
    for (text, part) in [
        ("", "unexpected end at line 1, column 1"),
        ("input.", "column 7: expected a name"),
        ("1 +\n 'a", "unterminated string at line 2, column 2"),
        ("a b", "unexpected `b`"),
        ("f(1)", "unknown function `f`"),
        ("has(1)", "`has`"),
        ("[1].all(1, true)", "variable"),
        ("in", "unexpected `in`"),
        ("a.?b", "unexpected `?`"),
        ("M{a: 1}", "unexpected `{`"),
        ("9223372036854775808", "out of range"),
        ("18446744073709551616u", "out of range"),
        ("'\\q'", "unknown escape"),
        ("#", "unexpected character `#`"),
        (&deep, "nested more than"),
        (&format!("[1]{}", ".map(x, [x])".repeat(5000)), "lists, maps and macros"),
        (&too_long, "characters"),
    ] {
        let reason = Program::compile(text).unwrap_err();
        assert!(reason.contains(part) && reason.len() < 500 && !reason.contains('\n'), "{reason}");
    }
}

/// A macro over ten elements, nested to the given depth.
fn nested(depth: usize) -> String {
    let lists = (0..depth).map(|level| format!("[0,1,2,3,4,5,6,7,8,9].all(x{level}, ")).collect::<String>();
    format!("{lists}true{}", ")".repeat(depth))
}

#[test]
fn costly_expression_exhausts_its_budget_despite_absorbing_operators() {
    let doubled = |steps: usize| format!("{}'0123456789'{}", "[".repeat(steps), "].map(x, x + x)[0]".repeat(steps));
    let shared = |steps: usize| format!("{}1{}", "[".repeat(steps), "].map(x, [x, x])[0]".repeat(steps));
    assert_eq!(evaluate(&nested(4), &Json::Null), Ok(json!(true)));
    for text in [
        nested(8),
        format!("{} || true", nested(8)),
        format!("[1, 2].exists(x, {} || true)", nested(8)),
        format!("{} ? 'a' : 'b'", nested(8)),
        doubled(40),
        format!("{a} == {a}", a = shared(25)),
        "input.filter(x, true).map(x, input)".to_owned() + &".map(x, x + x)".repeat(10),
        "input.all(x, input.all(y, x != y + 'z'))".to_owned(),
        "input.map(x, input[0] + x).exists(x, x.matches('^(a|b|c)*$'))".to_owned(),
    ] {
        let input: Json = (0..1000).map(|n| n.to_string()).collect();
        let start = Instant::now();
        match evaluate(&text, &input) {
            Err(Fault::Exhausted(reason)) => assert!(reason.contains("limit"), "{reason}"),
            other => panic!("{text}: {other:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{text}: {:?}", start.elapsed());
    }
}

#[test]
fn realistic_expression_over_large_input_fits_the_budget() {
    let rows: Vec<Json> = (0..5000).map(|n| json!({"id": format!("row-{n}"), "tags": ["a", "b", "c"]})).collect();
    let input = json!({"rows": rows, "text": "x".repeat(1 << 20)});
    for text in [
        "input.rows.exists(r, r.id == 'row-4999')",
        "input.rows.filter(r, r.id.endsWith('99')).map(r, r.id)[0]",
        "input.rows.all(r, 'c' in r.tags)",
        "input.text + input.rows[0].id",
    ] {
        assert!(evaluate(text, &input).is_ok(), "{text}: {:?}", evaluate(text, &input));
    }
}

#[test]
fn deepest_and_longest_expressions_fit_the_stack() {
    let depth = usize::try_from(MAX_DEPTH).unwrap() - 1;
    let max_length = MAX_TEXT / 4;
    for text in [
        format!("{}1{} == 1", "(".repeat(depth), ")".repeat(depth)),
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
        format!("{}1{}", "{1:".repeat(depth), "}".repeat(depth)),
        format!("{}1", "true?1:".repeat(depth)),
        format!("{}true{}", "[1].all(x,".repeat(depth), ")".repeat(depth)),
        format!("{deep} == {deep}", deep = "[1]".to_owned() + &".map(x, [x])".repeat(MAX_CONTAINERS as usize / 4 - 1)),
        format!("1{}", "+1".repeat(max_length)),
        format!("{}true", "!".repeat(max_length * 2)),
        format!("{}1", "-".repeat(max_length * 2)),
        format!("true{}", "&&true".repeat(max_length / 2)),
    ] {
        let start = Instant::now();
        let result = evaluate(&text, &Json::Null);
        assert!(result.is_ok(), "{}: {result:?}", &text[..40]);
        assert!(start.elapsed() < Duration::from_secs(10), "{}: {:?}", &text[..40], start.elapsed());
    }
}

/// Expressions of some depth.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("input".to_owned()),
        Just("x".to_owned()),
        Just("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]".to_owned()),
        Just("'0123456789abcdef'".to_owned()),
        Just("true".to_owned()),
        Just("1".to_owned()),
        Just("2.5".to_owned()),
    ];
    leaf.prop_recursive(24, 200, 3, |inner| {
        let binary = proptest::sample::select(vec!["+", "-", "*", "/", "==", "!=", "<", "in", "&&", "||"]);
        let unary = proptest::sample::select(vec!["size", "string", "type", "int", "double", "!", "-"]);
        let fold = proptest::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (unary, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), fold, inner.clone()).prop_map(|(a, f, b)| format!("{a}.{f}(x, {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.prop_map(|a| format!("{{'k': {a}}}")),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in r#"[ -~\n"'\\]{0,60}"#) {
        let _ = Program::compile(&text);
    }

    #[test]
    fn any_expression_ends_within_its_budget(text in expressions()) {
        let input = json!((0..100).collect::<Vec<_>>());
        let start = Instant::now();
        if let Ok(program) = Program::compile(&text) {
            let _ = program.evaluate(&[("input", Value::from_json(&input)), ("x", Value::Null)]);
        }
        // The budget takes milliseconds. This limit only excludes minutes.
        prop_assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
