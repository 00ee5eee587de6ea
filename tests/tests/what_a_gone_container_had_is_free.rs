//! A container that is gone without a word keeps from the next one neither its address
//! nor its port.

use anyhow::{Result, ensure};
use tests::{
    engine::{ask, netns, plain},
    lab::Lab,
};

#[test]
fn the_next_one_has_them_at_once() -> Result<()> {
    let mut lab = Lab::of_machines(1)?;
    lab.start_controller(&[])?;
    let agents = lab.agents(&[])?;
    let (host, agent) = (lab.host(1), &agents[0]);
    let attach = |name: &str, more: &[&str]| {
        let path = netns(host, name)?;
        let attach = [
            "attach",
            "--netns",
            &path,
            "-o",
            "json",
            "--publish",
            "8080:80",
        ];
        let said = agent.weft(&[&attach[..], more].concat())?;
        ensure!(said.code == 0, "{name}: {said:?}");
        let attached: serde_json::Value = serde_json::from_str(&said.stdout)?;
        let address = attached["endpoint"]["addresses"][0].as_str();
        Ok((path, address.unwrap_or_default().to_owned()))
    };
    let (_, address) = attach("one", &[])?;
    // One that is there keeps them.
    let refused = attach("other", &[]).expect_err("the port is taken");
    ensure!(refused.to_string().contains("publishes"), "{refused}");
    host.done(&["ip", "netns", "del", "one"])?;
    let (path, same) = attach("next", &["--ip", &address])?;
    assert_eq!(same, address);
    let _next = plain(host, "next", &path)?;
    assert_eq!(ask(host, host.v4().into(), 8080)?, "next");
    Ok(())
}
