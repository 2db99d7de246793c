use super::*;

fn lookup(name: &str) -> Option<String> {
    (name == "A_ENV").then(|| "env".to_owned())
}

/// A file's text, the values that python-dotenv 1.2.4 reads from it (without names that have no value), and the number
/// of statements that it refuses. `A_ENV` is `env` in the process' environment.
type Row = (&'static str, &'static [(&'static str, &'static str)], usize);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("A=1\n", &[("A", "1")], 0),
    ("A=1", &[("A", "1")], 0),
    ("A = 1 \n", &[("A", "1")], 0),
    (" A=1\n", &[("A", "1")], 0),
    ("\tA=1\n", &[("A", "1")], 0),
    ("export A=1\n", &[("A", "1")], 0),
    ("export\tA=1\n", &[("A", "1")], 0),
    ("export=1\n", &[("export", "1")], 0),
    ("exportA=1\n", &[("exportA", "1")], 0),
    ("A=\n", &[("A", "")], 0),
    ("A= \n", &[("A", "")], 0),
    ("A\n", &[], 0),
    ("A\nB=2\n", &[("B", "2")], 0),
    ("\n\nA=1\n\n", &[("A", "1")], 0),
    ("# c\nA=1\n", &[("A", "1")], 0),
    ("  # c\nA=1\n", &[("A", "1")], 0),
    ("A=1 # c\n", &[("A", "1")], 0),
    ("A=1# c\n", &[("A", "1# c")], 0),
    ("A=1#c\n", &[("A", "1#c")], 0),
    ("A=#c\n", &[("A", "#c")], 0),
    ("A= # c\n", &[("A", "")], 0),
    ("A=\t#c\n", &[("A", "")], 0),
    ("A= #c\nB=2\n", &[("A", ""), ("B", "2")], 0),
    ("A=a b c\n", &[("A", "a b c")], 0),
    ("A=a  b\t\n", &[("A", "a  b")], 0),
    ("A='1'\n", &[("A", "1")], 0),
    ("A='a b' # c\n", &[("A", "a b")], 0),
    ("A='a b'# c\n", &[("A", "a b")], 0),
    ("A='a#b'\n", &[("A", "a#b")], 0),
    ("A='a\\'b'\n", &[("A", "a'b")], 0),
    ("A='a\\\\b'\n", &[("A", "a\\b")], 0),
    ("A='a\\nb'\n", &[("A", "a\\nb")], 0),
    ("A='a\nb'\nB=2\n", &[("A", "a\nb"), ("B", "2")], 0),
    ("A=''\n", &[("A", "")], 0),
    ("A=' a '\n", &[("A", " a ")], 0),
    ("A=\"1\"\n", &[("A", "1")], 0),
    ("A=\"a b\" # c\n", &[("A", "a b")], 0),
    ("A=\"a\\nb\"\n", &[("A", "a\nb")], 0),
    ("A=\"a\\tb\\rc\"\n", &[("A", "a\tb\rc")], 0),
    ("A=\"a\\\"b\"\n", &[("A", "a\"b")], 0),
    ("A=\"a\\\\b\"\n", &[("A", "a\\b")], 0),
    ("A=\"a\\\\\"\nB=2\n", &[("A", "a\\"), ("B", "2")], 0),
    ("A=\"a\\qb\"\n", &[("A", "a\\qb")], 0),
    ("A=\"a\\$b\"\n", &[("A", "a\\$b")], 0),
    ("A=\"\\a\\b\\f\\v\\'\"\n", &[("A", "\u{7}\u{8}\u{c}\u{b}'")], 0),
    ("A=\"a\nb\"\nB=2\n", &[("A", "a\nb"), ("B", "2")], 0),
    ("A=\"\"\n", &[("A", "")], 0),
    ("A=\"a\\\nb\"\n", &[("A", "a\\\nb")], 0),
    ("A=\"it's\"\n", &[("A", "it's")], 0),
    ("A='say \"x\"'\n", &[("A", "say \"x\"")], 0),
    ("MSG=it's\nA=1\n", &[("MSG", "it's"), ("A", "1")], 0),
    ("PW=a{\"b\nA=1\n", &[("PW", "a{\"b"), ("A", "1")], 0),
    ("A=a\"b\"c\n", &[("A", "a\"b\"c")], 0),
    ("A=a'b'c\n", &[("A", "a'b'c")], 0),
    ("A=a\\nb\n", &[("A", "a\\nb")], 0),
    ("A=a\\\n", &[("A", "a\\")], 0),
    ("A==1\n", &[("A", "=1")], 0),
    ("A=b=c\n", &[("A", "b=c")], 0),
    ("A=a;b\n", &[("A", "a;b")], 0),
    ("A=$B\n", &[("A", "$B")], 0),
    ("'A'=1\n", &[("A", "1")], 0),
    ("'A B'=1\n", &[("A B", "1")], 0),
    ("A.b-c=1\n", &[("A.b-c", "1")], 0),
    ("1A=1\n", &[("1A", "1")], 0),
    ("\u{e4}=\u{f6}\n", &[("\u{e4}", "\u{f6}")], 0),
    ("A=\u{f6} # c\n", &[("A", "\u{f6}")], 0),
    ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")], 0),
    ("A='x'\r\nB=2\r\n", &[("A", "x"), ("B", "2")], 0),
    ("A=1\rB=2\r", &[("A", "1"), ("B", "2")], 0),
    ("A=\r\nB=2\r\n", &[("A", ""), ("B", "2")], 0),
    ("A='x\r\ny'\r\nB=2\r\n", &[("A", "x\ny"), ("B", "2")], 0),
    ("# c\r\nB=2\r\n", &[("B", "2")], 0),
    ("\u{feff}A=1\nB=2\n", &[("A", "1"), ("B", "2")], 0),
    ("\u{feff}# c\nA=1\n", &[("A", "1")], 0),
    ("\u{feff}export A=1\n", &[("A", "1")], 0),
    ("A=1\nB=${A}\n", &[("A", "1"), ("B", "1")], 0),
    ("A=${A_ENV}\n", &[("A", "env")], 0),
    ("A=x${A_ENV}y${A_ENV}z\n", &[("A", "xenvyenvz")], 0),
    ("A=${NO}\n", &[("A", "")], 0),
    ("A=${NO:-d}\n", &[("A", "d")], 0),
    ("A=${NO:-}\n", &[("A", "")], 0),
    ("A=${NO:-a b}\n", &[("A", "a b")], 0),
    ("A=\nB=${A:-d}\n", &[("A", ""), ("B", "")], 0),
    ("A\nB=${A:-d}\n", &[("B", "")], 0),
    ("A='${A_ENV}'\n", &[("A", "env")], 0),
    ("A=\"${A_ENV}\"\n", &[("A", "env")], 0),
    ("A=${\n", &[("A", "${")], 0),
    ("A=${NO\n", &[("A", "${NO")], 0),
    ("A=${NO:x}\n", &[("A", "${NO:x}")], 0),
    ("A=${NO:-d\n", &[("A", "${NO:-d")], 0),
    ("A=${}\n", &[("A", "")], 0),
    ("A=$${A_ENV}\n", &[("A", "$env")], 0),
    ("A=${A_ENV:-d}\n", &[("A", "env")], 0),
    ("A_ENV=file\nB=${A_ENV}\n", &[("A_ENV", "file"), ("B", "file")], 0),
    ("B=${LATER}\nLATER=1\n", &[("B", ""), ("LATER", "1")], 0),
    ("A=1\nA=2\nB=${A}\n", &[("A", "2"), ("B", "2")], 0),
    ("A=\\${A_ENV}\n", &[("A", "\\env")], 0),
    ("A=${NO:-${A_ENV}}\n", &[("A", "${A_ENV}")], 0),
    ("X='a\nA=1\n", &[("A", "1")], 1),
    ("X=\"a\nA=1\n", &[("A", "1")], 1),
    ("X='a' b\nA=1\n", &[("A", "1")], 1),
    ("X=\"a\"b\nA=1\n", &[("A", "1")], 1),
    ("no equals sign\nA=1\n", &[("A", "1")], 1),
    ("=1\nA=1\n", &[("A", "1")], 1),
    ("A: 1\nB=2\n", &[("B", "2")], 1),
    ("export \nA=1\n", &[("A", "1")], 1),
    ("'A=1\nB=2\n", &[("B", "2")], 1),
    ("[section]\nA=1\n", &[("A", "1")], 0),
    ("{\nA=1\n}\n", &[("A", "1")], 0),
    ("A=1\nX='a", &[("A", "1")], 1),
    ("X='a\\'\nA=1\n", &[("A", "1")], 1),
    ("'X'y=1\nA=1\n", &[("A", "1")], 1),
    ("export  A = '1'  \n", &[("A", "1")], 0),
    ("X=' # c\nA=1\n", &[("A", "1")], 1),
    ("A=1\u{a0}# c\n", &[("A", "1")], 0),
    ("A=\u{a0}1\n", &[("A", "1")], 0),
    ("\u{2028}A=1\n", &[("A", "1")], 0),
    ("A='a'\u{a0}\nB=2\n", &[("A", "a"), ("B", "2")], 0),
    ("A\u{a0}=1\n", &[("A", "1")], 0),
    ("A=1\u{b}# c\n", &[("A", "1")], 0),
    ("A=1\u{c}B=2\n", &[("A", "1\u{c}B=2")], 0),
];

#[test]
fn values_equal_the_values_of_python_dotenv() {
    for (text, values, malformed) in TABLE {
        let env = parse(text, lookup);
        // python-dotenv returns a dictionary: the last value of a name applies.
        let last: HashMap<&str, &str> =
            env.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(last, values.iter().copied().collect(), "{text:?}");
        assert_eq!(env.malformed_lines.len(), *malformed, "{text:?}");
    }
}

#[test]
fn malformed_line_is_skipped_and_numbered() {
    let malformed = |text: &str| {
        let env = parse(text, lookup);
        let lines: Vec<_> = env.malformed_lines.iter().map(|line| (line.number, line.reason)).collect();
        (env.values.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "), lines)
    };
    let quote = "has a quote that does not close";
    let form = "is not NAME=value";
    assert_eq!(malformed("A=1\n\n# c\nX='a\nB=2\n"), ("A B".to_owned(), vec![(4, quote)]));
    assert_eq!(malformed("A='a\nb'\nno name\nB=2\n"), ("A B".to_owned(), vec![(3, form)]));
    // A later quote closes the value in python-dotenv, which drops the lines between.
    assert_eq!(malformed("X='a\nA=1\nY='b'\nB=2\n"), ("A Y B".to_owned(), vec![(1, form)]));
    assert_eq!(malformed("X=\"a\nA=1\n# say \"it\"\nB=2\n"), ("A B".to_owned(), vec![(1, form)]));
    assert_eq!(malformed("A=1\nB=\u{fffd}\nC=3\n# \u{fffd}\n"), ("A C".to_owned(), vec![(2, "is not UTF-8 text")]));
}

#[test]
fn binary_and_huge_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let refused = |path: &Path| read(path, lookup).unwrap_err().to_string();
    assert_eq!(read(&path, lookup).unwrap(), None);
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(&path), "is a directory, not a file");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, b"\xff\xfeA\x00=\x001\x00").unwrap();
    assert_eq!(refused(&path), "is UTF-16 text; save it as UTF-8");
    fs::write(&path, b"A=1\nB=\x002\n").unwrap();
    assert!(refused(&path).starts_with("contains a NUL byte in line 2"), "{}", refused(&path));
    fs::write(&path, "# a long comment\n".repeat(1 << 16)).unwrap();
    assert_eq!(refused(&path), "is larger than 1024 KiB");
    fs::write(&path, b"# Fran\xe7ois\nA=1\n").unwrap();
    assert_eq!(read(&path, lookup).unwrap().unwrap().values, [("A".to_owned(), "1".to_owned())]);
}

#[cfg(unix)]
#[test]
fn pipe_and_dangling_link_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(read(&path, lookup).unwrap_err().to_string(), "is a symbolic link to nothing, not a file");
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(read(&path, lookup).unwrap_err().to_string(), "is a pipe, socket or device, not a file");
}

#[test]
fn unclosed_references_are_literal() {
    let value = "${".repeat(500_000);
    assert_eq!(super::interpolate(&value, lookup), value);
    assert_eq!(super::interpolate("a${A_ENV}${x", lookup), "aenv${x");
}
