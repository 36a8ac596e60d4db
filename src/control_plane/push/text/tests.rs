use proptest::prelude::*;

use super::*;

/// What is wrong with a body. Empty when nothing is.
fn wrong(body: &[u8]) -> String {
    parse(body).err().map(|error| error.to_string()).unwrap_or_default()
}

/// The families of a body that can be read.
fn families(body: &str) -> Vec<Family<'_>> {
    parse(body.as_bytes()).expect("it can be read").families
}

fn number(body: &str) -> f64 {
    match families(body)[0].samples[0].value {
        Value::Number(number) => number,
        Value::Distribution { .. } => f64::NAN,
    }
}

#[test]
fn what_a_pushgateway_reads_is_read() {
    for body in [
        "",
        "\n",
        "# hi\n",
        "#\n",
        "a 1\n",
        "a 1\n\n\n",
        "a 1\n  ",
        "a 1\n b 2\n\t\n",
        "  a 1\n",
        "a\t\t1\n",
        "a{} 1\n",
        "a{x=\"1\"}1\n",
        "a {x=\"1\"} 1\n",
        "a{x=\"1\",} 1\n",
        "a{ x = \"1\" , y=\"2\" } 1\n",
        "a{_=\"1\"} 1\n",
        "a:b 1\n",
        ":a 1\n",
        "# HELP a\na 1\n",
        "# TYPE a\na 1\n",
        "# TYPE a \na 1\n",
        "#TYPE a gauge\na 1\n",
        "#\tTYPE\ta\tgauge\na 1\n",
        "# TYPE a GAUGE\na 1\n",
        "# TYPE a gauge\n",
        "# HELP a \n# HELP a h\na 1\n",
        "# EOF\na 1\n# UNIT a s\n",
        "a 1\na 1\n",
        "le{le=\"1\",quantile=\"2\"} 1\n",
    ] {
        assert_eq!(wrong(body.as_bytes()), "", "{body:?}");
    }
}

/// Asserts what is wrong with each body, and in which line.
#[track_caller]
fn assert_wrong(bodies: &[(&str, usize, &str)]) {
    for (body, line, what) in bodies {
        let said = format!("text format parsing error in line {line}: {what}");
        assert_eq!(wrong(body.as_bytes()), said, "{body:?}");
    }
}

#[test]
fn what_is_wrong_with_a_sample_is_told_in_the_words_of_the_pushgateway() {
    assert_wrong(&[
        ("a 1", 1, "unexpected end of input stream"),
        ("a", 1, "unexpected end of input stream"),
        ("a{x=\"", 1, "unexpected end of input stream"),
        ("a{x=\"\\", 1, "unexpected end of input stream"),
        ("a{x=\"1\"} ", 1, "unexpected end of input stream"),
        ("a 1\nb 2", 2, "unexpected end of input stream"),
        ("1a 1\n", 1, "invalid metric name"),
        ("{a=\"1\"} 1\n", 1, "invalid metric name"),
        ("\u{feff}a 1\n", 1, "invalid metric name"),
        ("a\n", 1, "expected float as value, got \"\""),
        ("a x\n", 1, "expected float as value, got \"x\""),
        ("a 1\r\n", 1, "expected float as value, got \"1\\r\""),
        ("a \u{e4}\u{20ac}\u{7f}\u{7}\n", 1, "expected float as value, got \"ä€\\x7f\\a\""),
        ("a\0 1\n", 1, "expected float as value, got \"\\x00\""),
        ("a 1 \n", 1, "expected integer as timestamp, got \"\""),
        ("a 1 x\n", 1, "expected integer as timestamp, got \"x\""),
        ("a 1 1.5\n", 1, "expected integer as timestamp, got \"1.5\""),
        ("a 1 1 1\n", 1, "spurious string after timestamp: \" 1\""),
        ("a 1 1\t\n", 1, "spurious string after timestamp: \"\\t\""),
        ("a{,} 1\n", 1, "invalid label name for metric \"a\""),
        ("a{\n", 1, "invalid label name for metric \"a\""),
        ("a{__name__=\"x\"} 1\n", 1, "label name \"__name__\" is reserved"),
        ("a{__name__} 1\n", 1, "label name \"__name__\" is reserved"),
        ("a{x:y=\"1\"} 1\n", 1, "expected '=' after label name, found ':'"),
        ("a{x\n", 1, "expected '=' after label name, found '\\n'"),
        ("a{x=1} 1\n", 1, "expected '\"' at start of label value, found '1'"),
        ("a{x=\"1\",x=\"2\"} 1\n", 1, "duplicate label names for metric \"a\""),
        ("a{x=\"1} 1\n", 1, "label value \"1} 1\" contains unescaped new-line"),
        ("a{x=\"\\t\"} 1\n", 1, "invalid escape sequence '\\t'"),
        ("a{x=\"1\" y=\"2\"} 1\n", 1, "unexpected end of label value \"1\""),
        ("a{x=\"1\"\n", 1, "unexpected end of label value \"1\""),
    ]);
}

#[test]
fn what_is_wrong_with_a_comment_is_told_in_the_words_of_the_pushgateway() {
    let second_type = "second TYPE line for metric name \"a\", or TYPE reported after samples";
    assert_wrong(&[
        ("#", 1, "unexpected end of input stream"),
        ("# hi", 1, "unexpected end of input stream"),
        ("# TYPE a", 1, "unexpected end of input stream"),
        ("# HELP a x", 1, "unexpected end of input stream"),
        ("# HELP a \\", 1, "unexpected end of input stream"),
        ("# TYPE a-b gauge\na 1\n", 1, "invalid metric name in comment"),
        ("# TYPE a bogus\na 1\n", 1, "unknown metric type \"bogus\""),
        ("# TYPE a gauge x\na 1\n", 1, "unknown metric type \"gauge x\""),
        ("# TYPE a gauge \na 1\n", 1, "unknown metric type \"gauge \""),
        ("# TYPE a counter\na 1\n# TYPE a gauge\n", 3, second_type),
        ("# TYPE a counter\n# TYPE a gauge\n", 2, second_type),
        ("a 1\n# TYPE a gauge\n", 2, second_type),
        ("# TYPE a summary\na_sum 1\n# TYPE a_count gauge\n", 3, second_type),
        ("# HELP a x\n# HELP a y\na 1\n", 2, "second HELP line for metric name \"a\""),
        ("# HELP a q\\\"\na 1\n", 1, "invalid escape sequence '\\\"'"),
        (
            "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
            2,
            "expected float as value for 'le' label, got \"x\"",
        ),
        (
            "# TYPE s summary\ns{quantile=\"\"} 1\n",
            2,
            "expected float as value for 'quantile' label, got \"\"",
        ),
    ]);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_would_be_shown() {
    assert!(wrong(b"a{x=\"\xc3\xa4\xff\\\"\"} 1\n").ends_with("invalid label value \"\u{e4}\\xff\\\"\""));
    assert!(wrong(b"# HELP a \xff\na 1\n").ends_with("invalid help text \"\\xff\""));
    assert!(wrong(b"a \xff\n").ends_with("expected float as value, got \"\\xff\""));
    assert!(wrong(b"a{x\xff=\"1\"} 1\n").ends_with("found '\u{ff}'"));
    assert_eq!(wrong(b"# \xff\n"), "", "a comment is not shown");
}

#[test]
fn numbers_are_those_of_the_format() {
    for (text, value) in [
        ("7", 7.0),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e-3", -0.0015),
        ("1E5", 1e5),
        ("inf", f64::INFINITY),
        ("+Inf", f64::INFINITY),
        ("-infinity", f64::NEG_INFINITY),
    ] {
        assert_eq!(number(&format!("a {text}\n")), value, "{text}");
    }
    assert!(number("a nan\n").is_nan() && number("a NaN\n").is_nan());
    for text in ["0x10", "0x1p4", "1_0", "1e400", "-1e400", "-nan", "+nan", "1e", "--1", ".", "e5", "1,0"] {
        assert_ne!(wrong(format!("a {text}\n").as_bytes()), "", "{text}");
    }
}

#[test]
fn escapes_stand_for_what_they_say() {
    let body = "# HELP a one\\\\n\\ntwo  \na{x=\"q\\\"b\\\\n\\nz\"} 1\n";
    let families = families(body);
    assert_eq!(families[0].help.as_deref(), Some("one\\n\ntwo  "));
    assert_eq!(families[0].samples[0].labels, [("x", Cow::from("q\"b\\n\nz"))]);
}

#[test]
fn a_timestamp_is_noticed() {
    for (body, has) in [("a 1\n", false), ("a 1 5\n", true), ("a 1 -5\nb 1\n", true)] {
        assert_eq!(parse(body.as_bytes()).expect("well-formed").has_timestamps, has, "{body}");
    }
}

#[test]
fn a_family_has_its_type_from_above_and_its_samples_from_anywhere() {
    let families = families("# TYPE c counter\n# HELP c x\nc 1\nb 2\nc{x=\"1\"} 3\n# TYPE d gauge\n");
    let seen: Vec<_> =
        families.iter().map(|family| (family.name, family.kind, family.samples.len())).collect();
    assert_eq!(seen, [("c", Kind::Counter, 2), ("b", Kind::Untyped, 1)]);
}

#[test]
fn the_lines_of_a_distribution_are_one_sample_for_each_set_of_labels() {
    let families = families(
        "# TYPE h histogram\nh_bucket{le=\"1\",x=\"a\"} 1\nh_bucket{x=\"a\",le=\"+Inf\"} 2\nh_bucket{le=\"1\",x=\"b\"} 7\n\
         h_count{x=\"a\"} 2\nh_sum{x=\"a\"} 1.5\nh 9\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_bucket 5\n",
    );
    let named: Vec<_> = families.iter().map(|family| (family.name, family.samples.len())).collect();
    assert_eq!(named, [("h", 3), ("s", 1), ("s_bucket", 1)]);
    let parts = vec![(1.0, 1.0), (f64::INFINITY, 2.0)];
    assert_eq!(families[0].samples[0].value, Value::Distribution { parts, sum: 1.5, count: 2.0 });
    let parts = vec![(0.5, 1.0)];
    assert_eq!(families[1].samples[0].value, Value::Distribution { parts, sum: 3.0, count: 0.0 });
}

#[test]
fn a_name_that_was_there_first_is_no_part_of_a_distribution() {
    let families = families("h_count 3\n# TYPE h histogram\nh_count 2\nh_sum 1\n");
    assert_eq!((families[0].name, families[0].samples.len()), ("h_count", 2));
    assert_eq!((families[1].name, families[1].samples.len()), ("h", 1));
}

#[test]
fn labels_without_end_are_refused() {
    let labels: String = (0..=LABELS_MAX).map(|n| format!("l{n}=\"\",")).collect();
    assert!(wrong(format!("a{{{labels}}} 1\n").as_bytes()).contains("more than 64 labels"));
}

/// Pieces of the format, so that most of what is put together of them is nearly right.
const PIECES: [&str; 32] = [
    "# TYPE ",
    "# HELP ",
    "#",
    "a",
    "b_sum",
    "b_count",
    "b_bucket",
    "b",
    " ",
    "\t",
    "\n",
    "\n",
    "{",
    "}",
    "=",
    "\"",
    ",",
    "\\",
    "n",
    "le",
    "quantile",
    "x",
    "1",
    "-",
    ".5",
    "e9",
    "NaN",
    "+Inf",
    "histogram",
    "summary",
    "counter",
    "\u{e4}",
];

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
