use serde_json::json;

use super::*;

#[derive(Serialize)]
struct Host {
    name: String,
    subnets: Vec<String>,
    at: Option<u64>,
}

impl Row for Host {
    const COLUMNS: &'static [&'static str] = &["NAME", "SUBNETS", "AT"];
    const SPARE: &'static [&'static str] = &["AT", "SUBNETS"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        let at = self.at.map_or("-".into(), |at| clock::from_now(at, now_ms));
        vec![self.name.clone(), joined(&self.subnets), at]
    }
}

#[test]
fn a_listing_for_people() {
    let hosts = [
        Host {
            name: "a".into(),
            subnets: vec!["10.0.1.0/24".into(), "fd00:1::/64".into()],
            at: Some(8_000),
        },
        Host {
            name: "host-17".into(),
            subnets: vec![],
            at: None,
        },
    ];
    assert_eq!(
        table_of(&hosts, 5_000, None),
        "NAME      SUBNETS                   AT\n\
         a         10.0.1.0/24,fd00:1::/64   in 3s\n\
         host-17   -                         -\n"
    );
}

#[test]
fn fields_keep_their_order() {
    let host = Host {
        name: "a".into(),
        subnets: vec!["x".into(), "y".into()],
        at: None,
    };
    assert_eq!(
        described(&host),
        "name      a\nsubnets   x, y\nat        -\n"
    );
    assert_eq!(
        value(&host).to_string(),
        r#"{"name":"a","subnets":["x","y"],"at":null}"#
    );
}

#[test]
fn every_kind_of_value_has_a_text() {
    for (value, expected) in [
        (json!(null), "-"),
        (json!(true), "yes"),
        (json!(3), "3"),
        (json!([1, "b"]), "1, b"),
        (json!([]), ""),
    ] {
        assert_eq!(text(&value), expected);
    }
}

#[test]
fn a_narrow_terminal_shows_fewer_columns() {
    let hosts = [Host {
        name: "host-17".into(),
        subnets: vec!["10.0.1.0/24".into()],
        at: None,
    }];
    for (width, text) in [
        (
            26,
            "NAME      SUBNETS       AT\nhost-17   10.0.1.0/24   -\n",
        ),
        (21, "NAME      SUBNETS\nhost-17   10.0.1.0/24\n"),
        (20, "NAME\nhost-17\n"),
        (1, "NAME\nhost-17\n"),
    ] {
        assert_eq!(table_of(&hosts, 0, Some(width)), text, "{width}");
    }
}
