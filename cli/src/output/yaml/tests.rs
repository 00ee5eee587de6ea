use serde_json::json;

use super::*;

#[test]
fn a_listing() {
    let listing = json!([
        {"name": "a", "subnets": ["10.32.1.0/24", "fd00:1::/64"], "vni": 1, "mac": null},
        {"name": "b", "subnets": [], "ready": true},
    ]);
    assert_eq!(
        document(&listing),
        "- name: a\n  subnets:\n    - \"10.32.1.0/24\"\n    - fd00:1::/64\n  vni: 1\n  mac: null\n\
         - name: b\n  subnets: []\n  ready: true\n"
    );
}

#[test]
fn nested_objects_and_lists() {
    let value =
        json!({"nodes": {"connected": 3}, "deep": [[1, 2], [], {}], "set": [{"a": {"b": "c"}}]});
    assert_eq!(
        document(&value),
        "nodes:\n  connected: 3\ndeep:\n  - - 1\n    - 2\n  - []\n  - {}\nset:\n  - a:\n      b: c\n"
    );
}

#[test]
fn nothing() {
    assert_eq!(document(&json!([])), "[]\n");
    assert_eq!(document(&json!({})), "{}\n");
    assert_eq!(document(&json!(null)), "null\n");
}

#[test]
fn a_text_stays_a_text() {
    for plain in [
        "default",
        "/var/lib/weft",
        "a.b-c_d",
        "http://a:7440",
        "fd00::1",
        "nodes",
    ] {
        assert_eq!(scalar(plain), plain);
    }
    for quoted in [
        "",
        "on",
        "Yes",
        "NULL",
        "~",
        "1",
        "1.5",
        "1e3",
        "0x10",
        "-",
        "- a",
        "12:30:45",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "02:00:00:00:00:01",
        "10.0.0.0/24",
        "a: b",
        "a:",
        "fd00::",
        "a #b",
        "#a",
        "{a}",
        "[a]",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "'a'",
        "%a",
        " a",
        "a ",
        "a\nb",
        ".inf",
        "é",
    ] {
        assert_eq!(
            scalar(quoted),
            Value::from(quoted).to_string(),
            "{quoted:?}"
        );
    }
    assert_eq!(scalar("a\u{7f}"), "\"a\\u007f\"");
}
