//! What GC must do.

use anyhow::Result;
use serde_json::json;
use tests::{
    cni::{Attachment, List, refused},
    lab::Namespace,
};

use crate::ground::{Ground, container};

#[test]
fn gc_removes_what_is_not_valid() -> Result<()> {
    let ground = Ground::new()?;
    let (runtime, list) = (&ground.runtime, &ground.list);
    let all: Vec<(Namespace, Attachment)> = (1..=4)
        .map(|number| container(&format!("c{number}")))
        .collect::<Result<_>>()?;
    for (_, attachment) in &all[..3] {
        runtime.add(list, attachment)?;
    }
    // By another configuration of the same network: not this one's to judge.
    let other = List::new("other", "1.1.0", &list.plugins);
    runtime.add(&other, &all[3].1)?;
    runtime.gc(list, &[&all[0].1, &all[2].1])?;
    let left = ["cni/c1/eth0", "cni/c3/eth0", "cni/c4/eth0"];
    assert_eq!(ground.endpoints()?, left.map(str::to_owned).into());
    assert!(all[1].0.run(&["ip", "link", "show", "dev", "eth0"])?.code != 0);
    runtime.check(list, &all[0].1)?;
    runtime.gc(list, &[])?;
    assert_eq!(ground.endpoints()?, ["cni/c4/eth0".to_owned()].into());
    let said = refused(runtime.gc(&list.at("1.0.0"), &[]))?;
    assert_eq!(said.code, 1, "{said}");
    Ok(())
}

#[test]
fn gc_goes_on_after_an_error() -> Result<()> {
    let mut ground = Ground::new()?;
    let (_namespace, attachment) = container("c1")?;
    ground.runtime.add(&ground.list, &attachment)?;
    ground.agent.kill()?;
    let said = refused(ground.runtime.gc(&ground.list, &[]))?;
    assert_eq!(said.code, 11, "{said}");
    ground.agent.start()?;
    ground.runtime.gc(&ground.list, &[])?;
    assert!(ground.endpoints()?.is_empty());
    // Not said what to keep is not the same as nothing to keep.
    ground.runtime.add(&ground.list, &attachment)?;
    let mut conf = ground.list.plugins[0].clone();
    conf["cniVersion"] = json!("1.1.0");
    conf["name"] = json!("weft");
    let said = ground.say(&[("CNI_COMMAND", "GC")], &conf)?;
    assert_eq!(said.code, 7, "{said}");
    assert_eq!(ground.endpoints()?.len(), 1);
    Ok(())
}
