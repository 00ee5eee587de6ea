use super::*;

const KNOWN: [&str; 4] = ["mtu", "listen", "log-format", "etcd-endpoints"];

#[test]
fn offers_what_was_meant() {
    for (typed, meant) in [
        ("mtuu", Some("mtu")),
        ("log_format", Some("log-format")),
        ("listenn", Some("listen")),
        ("etcd-endpoint", Some("etcd-endpoints")),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(nearest(typed, KNOWN.into_iter()), meant, "{typed}");
    }
}

#[test]
fn counts_edits() {
    for (a, b, edits) in [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "abd", 1),
        ("abc", "bc", 1),
        ("kitten", "sitting", 3),
    ] {
        assert_eq!(distance(a, b), edits, "{a} {b}");
        assert_eq!(distance(b, a), edits, "{b} {a}");
    }
}
