//! An agent that cannot go on says why, with a code that is not 0; one that can goes on.

use std::fs;

use anyhow::{Result, ensure};
use tests::{lab::Lab, wait::patiently};

#[test]
fn its_node_was_removed() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let mut agent = lab.agent(1, &[])?;
    let removed = lab.weft_said(&["node", "remove", "h1"])?;
    assert_eq!(removed.code, 0, "{removed:?}");
    let ended = agent.ended()?;
    assert_eq!(ended.code(), Some(1), "{}", agent.log());
    let log = agent.log();
    assert!(log.contains("removed"), "{log}");
    Ok(())
}

/// The session is written down before it is said: without room it waits, and the data
/// path goes on from the last good state.
#[test]
fn its_disk_is_full() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let mut agent = lab.agent(1, &[])?;
    agent.kill()?;
    let host = lab.host(1);
    let state = host.directory().join("state");
    // A directory in its place cannot be written either.
    fs::create_dir(state.join("identity.new"))?;
    agent.launch()?;
    patiently(
        "it says what is missing, and programs what it knows",
        || {
            let status = agent.status()?;
            ensure!(status["ready"] == false, "{status}");
            ensure!(status["networks"][0]["state"] == "programmed", "{status}");
            Ok(())
        },
    )?;
    fs::remove_dir(state.join("identity.new"))?;
    agent.ready()
}

#[test]
fn its_socket_is_somebody_elses() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let first = lab.agent(1, &[])?;
    let file = lab.directory().join("a-script");
    fs::write(&file, "precious")?;
    for (socket, why) in [(first.socket(), "another agent"), (&file, "no socket")] {
        let socket = socket.to_str().unwrap_or_default();
        let state = lab.host(2).directory().join("other");
        let state = state.to_str().unwrap_or_default();
        let said = lab.host(2).run(&[
            tests::process::weft("weft-agent")?
                .to_str()
                .unwrap_or_default(),
            "--node",
            "h2",
            "--state-dir",
            state,
            "--socket",
            socket,
        ])?;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains(why), "{said:?}");
    }
    assert_eq!(fs::read_to_string(&file)?, "precious");
    assert_eq!(first.run(&["status"])?.code, 0);
    Ok(())
}
