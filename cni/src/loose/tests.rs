use serde_json::{Map, Value, json};

use super::Loose;

fn map(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

#[test]
fn a_key_is_found_in_any_case_and_best_as_it_is_written() {
    let value = json!({ "HOSTPORT": 1, "hostPort": 2, "Other": 3 });
    let said = Loose::new(map(&value));
    assert_eq!(said.number("hostPort"), Ok(2));
    assert_eq!(said.number("other"), Ok(3));
    assert_eq!(said.number("absent"), Ok(0));
}

#[test]
fn null_is_what_was_not_said() {
    let value = json!({ "a": null });
    let said = Loose::new(map(&value));
    assert_eq!(said.text("a"), Ok(None));
    assert_eq!(said.texts("a"), Ok(vec![]));
    assert!(said.object("a").is_ok_and(|object| object.is_empty()));
}

#[test]
fn what_is_wrong_is_named_with_all_that_it_is_in() {
    let value = json!({ "runtimeConfig": { "PortMappings": [{}, { "HostPort": "x" }] } });
    let said = Loose::new(map(&value));
    let runtime = said.object("runtimeConfig").expect("an object");
    let mappings = runtime.objects("portMappings").expect("objects");
    let failure = mappings[1].port("hostPort").expect_err("no port");
    assert_eq!(
        failure.details,
        "runtimeConfig.portMappings[1].hostPort is no number of this kind: \"x\""
    );
    let value = json!({ "mac": "x".repeat(500) });
    let failure = Loose::new(map(&value)).list("mac").expect_err("no list");
    assert!(failure.details.len() < 150, "{failure:?}");
}

#[test]
fn each_kind_is_only_what_it_is() {
    let value =
        json!({ "port": 65536, "minus": -1, "half": 1.5, "text": 1, "list": {}, "flag": 1 });
    let said = Loose::new(map(&value));
    assert!(said.port("port").is_err());
    assert!(said.number("minus").is_err());
    assert!(said.number("half").is_err());
    assert!(said.text("text").is_err());
    assert!(said.list("list").is_err());
    assert!(said.flag("flag").is_err());
    assert!(said.object("text").is_err());
    assert!(said.objects("list").is_err());
}
