//! What STATUS and VERSION must answer.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tests::{cni::refused, wait::patiently};

use crate::ground::{Ground, VERSIONS, container};

#[test]
fn status_is_whether_add_would_work() -> Result<()> {
    let mut ground = Ground::new()?;
    ground.runtime.status(&ground.list)?;
    let mut nowhere = ground.list.clone();
    nowhere.plugins[0]["network"] = json!("nowhere");
    let said = refused(ground.runtime.status(&nowhere))?;
    assert!(said.code == 50 && said.msg.contains("nowhere"), "{said}");
    let (_namespace, attachment) = container("c1")?;
    assert!(ground.runtime.add(&nowhere, &attachment).is_err());

    // Containers come without a controller, too.
    ground.lab.controllers[0].kill()?;
    ground.runtime.status(&ground.list)?;
    ground.runtime.add(&ground.list, &attachment)?;

    // One that is frozen is not waited for without end.
    ground.agent.pause()?;
    let began = Instant::now();
    let said = refused(ground.runtime.status(&ground.list))?;
    assert!(said.code == 50 && said.msg.contains("busy"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20));
    ground.agent.resume()?;

    ground.agent.kill()?;
    let said = refused(ground.runtime.status(&ground.list))?;
    assert!(
        said.code == 50 && said.msg.contains("not running"),
        "{said}"
    );
    ground.agent.launch()?;
    patiently("the agent is back, still without a controller", || {
        ground.runtime.status(&ground.list)
    })?;
    let said = refused(ground.runtime.status(&ground.list.at("1.0.0")))?;
    assert_eq!(said.code, 1, "{said}");
    Ok(())
}

#[test]
fn version_names_all() -> Result<()> {
    let ground = Ground::new()?;
    for version in ["0.3.1", "1.1.0", "0.1.0", "9.0.0"] {
        let said = ground.runtime.versions("weft", version)?;
        let expected = json!({ "cniVersion": version, "supportedVersions": VERSIONS });
        assert_eq!(said, expected);
    }
    Ok(())
}
