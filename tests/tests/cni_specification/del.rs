//! What DEL must do, and without an agent too.

use std::fs;

use anyhow::{Result, ensure};
use tests::{
    cni::{Attachment, refused},
    wait::patiently,
};

use crate::ground::{Ground, container};

#[test]
fn del_succeeds_whatever_is_left() -> Result<()> {
    let ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    // Nothing was ever there.
    ground.runtime.del(&ground.list, &attachment)?;
    let first = ground.runtime.add(&ground.list, &attachment)?;
    // Again, as when an engine died before it had heard: the same.
    assert_eq!(ground.runtime.add(&ground.list, &attachment)?, first);
    ground.runtime.del(&ground.list, &attachment)?;
    let links = namespace.json(&["ip", "-j", "link"])?;
    assert_eq!(links.as_array().map(Vec::len), Some(1), "{links}");
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    ground.runtime.del(&ground.list, &attachment)?;

    // Somebody took the interface; nobody kept the result.
    ground.runtime.add(&ground.list, &attachment)?;
    namespace.ip(&["link del eth0"])?;
    fs::remove_dir_all(ground.directory.path().join("cache"))?;
    ground.runtime.del(&ground.list, &attachment)?;
    assert!(ground.endpoints()?.is_empty());

    // The namespace is gone, and the engine says so.
    ground.runtime.add(&ground.list, &attachment)?;
    drop(namespace);
    let gone = Attachment {
        netns: String::new(),
        ..attachment.clone()
    };
    ground.runtime.del(&ground.list, &gone)?;
    assert!(ground.endpoints()?.is_empty() && ground.devices()?.is_empty());
    ground.runtime.del(&ground.list, &attachment)?;
    Ok(())
}

#[test]
fn without_an_agent_it_is_try_again_later() -> Result<()> {
    let mut ground = Ground::new()?;
    let (namespace, attachment) = container("c1")?;
    let (_other, second) = container("c2")?;
    ground.runtime.add(&ground.list, &attachment)?;
    ground.agent.kill()?;
    let said = refused(ground.runtime.add(&ground.list, &second))?;
    assert!(
        said.code == 11 && said.msg.contains("not running"),
        "{said}"
    );
    // The container runs on: that it is gone cannot be promised.
    let said = refused(ground.runtime.del(&ground.list, &attachment))?;
    assert_eq!(said.code, 11, "{said}");
    // It does not: nothing of it is in the way, and the agent lets go of the rest.
    drop(namespace);
    ground.runtime.del(&ground.list, &attachment)?;
    ground.agent.start()?;
    patiently("the agent lets go of what has vanished", || {
        let left = ground.endpoints()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })?;
    ground.runtime.add(&ground.list, &second)?;
    Ok(())
}
