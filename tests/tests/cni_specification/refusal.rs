//! What must be refused, and how.

use anyhow::Result;
use serde_json::{Value, json};
use tests::cni::Refused;

use crate::ground::{Ground, container};

#[test]
fn what_cannot_be_is_refused_with_its_code() -> Result<()> {
    let ground = Ground::new()?;
    let (_namespace, attachment) = container("c1")?;
    let good = |name: &str| match name {
        "CNI_COMMAND" => "ADD",
        "CNI_CONTAINERID" => "c1",
        "CNI_IFNAME" => "eth0",
        _ => attachment.netns.as_str(),
    };
    let names = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"];
    let with = |name: &str, value: &'static str| {
        names.map(|one| (one, if one == name { value } else { good(one) }))
    };
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("0.4.0");
    conf["name"] = json!("weft");
    for (name, value) in [
        ("CNI_COMMAND", "ADDD"),
        ("CNI_CONTAINERID", ""),
        ("CNI_CONTAINERID", "-a"),
        ("CNI_IFNAME", "a/b"),
        ("CNI_NETNS", ""),
        ("CNI_NETNS", "/nowhere"),
    ] {
        let said = ground.say(&with(name, value), &conf)?;
        assert_eq!(said.code, 4, "{said}");
        assert!(format!("{said}").contains(name), "{said}");
        assert_eq!(said.version, "0.4.0");
    }
    let own = ground.say(&with("CNI_NETNS", "/proc/self/ns/net"), &conf);
    assert!(
        own.is_ok(),
        "the host's own namespace is no container's: {own:?}"
    );

    let variables = with("", "");
    let changed = |key: &str, value: Value| {
        let mut conf = conf.clone();
        conf[key] = value;
        conf
    };
    for (key, value, code, named) in [
        ("cniVersion", json!("2.0.0"), 1, "2.0.0"),
        (
            "ipam",
            json!({ "type": "host-local" }),
            2,
            "ipam is not used: {\"type\":\"host-local\"}",
        ),
        ("name", Value::Null, 7, "name"),
        ("network", json!("No Name"), 7, "network"),
        (
            "runtimeConfig",
            json!({ "mac": "x" }),
            7,
            "runtimeConfig.mac",
        ),
        ("network", json!("nowhere"), 7, "nowhere"),
    ] {
        let said = ground.say(&variables, &changed(key, value))?;
        assert!(said.code == code && said.details.contains(named), "{said}");
    }
    for garbage in ["", "{", "[]", "null", "\0"] {
        let said = ground.runtime.say("weft", &variables, garbage)?;
        let said = Refused::read("weft", "ADD", &said)?;
        assert_eq!(said.code, 6, "{garbage}: {said}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let said = ground.runtime.say("weft", &variables, &long)?;
    assert_eq!(Refused::read("weft", "ADD", &said)?.code, 6);
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    Ok(())
}
