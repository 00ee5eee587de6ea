//! What CHECK must do.

use anyhow::{Context, Result};
use serde_json::json;
use tests::{
    cni::{addresses, refused},
    wait::patiently,
};

use crate::ground::{Ground, container};

#[test]
fn check_sees_what_is_wrong() -> Result<()> {
    let mut ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    let result = ground.runtime.add(&ground.list, &attachment)?;
    ground.runtime.check(&ground.list, &attachment)?;
    ground
        .runtime
        .check(&ground.list.at("0.4.0"), &attachment)?;

    let variables = [
        ("CNI_COMMAND", "CHECK"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_NETNS", attachment.netns.as_str()),
    ];
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("1.0.0");
    conf["name"] = json!("weft");
    let said = ground.say(&variables, &conf)?;
    assert!(
        said.code == 7 && said.details.contains("prevResult"),
        "{said}"
    );
    for (pointer, value) in [
        ("/interfaces/1/mac", json!("02:00:00:00:00:01")),
        ("/interfaces/1/name", json!("eth9")),
        ("/ips/0/address", json!("10.40.9.9/32")),
    ] {
        let mut other = result.clone();
        *other.pointer_mut(pointer).context("it is there")? = value;
        conf["prevResult"] = other;
        let said = ground.say(&variables, &conf)?;
        assert!(
            said.code == 100 && said.details.contains("prevResult"),
            "{said}"
        );
    }

    let address = addresses(&result).into_iter().next().context("one")?;
    let length = if address.contains(':') { 128 } else { 32 };
    namespace.ip(&[format!("addr del {address}/{length} dev eth0")])?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert!(
        said.code == 100 && said.details.contains(&address),
        "{said}"
    );
    namespace.ip(&["link set eth0 down", "link set eth0 name other"])?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert!(said.code == 100 && said.details.contains("eth0"), "{said}");
    // The host sees its own end go, and makes the link anew.
    namespace.ip(&["link del other"])?;
    patiently("the link is there again", || {
        ground.runtime.check(&ground.list, &attachment)
    })?;

    ground.agent.kill()?;
    let said = refused(ground.runtime.check(&ground.list, &attachment))?;
    assert_eq!(said.code, 11, "{said}");
    ground.agent.start()?;
    let variables = variables.map(|(name, value)| match name {
        "CNI_CONTAINERID" => (name, "never"),
        _ => (name, value),
    });
    let said = ground.say(&variables, &conf)?;
    assert_eq!(said.code, 3, "{said}");
    Ok(())
}
