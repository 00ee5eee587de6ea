//! A log that nobody can write to costs the log and nothing else.

use std::{fs::File, process::Stdio};

use anyhow::{Result, ensure};
use tests::{
    lab::Lab,
    ops,
    process::{self, keep},
    wait::patiently,
};

#[test]
fn an_agent_whose_log_is_full_goes_on() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let host = lab.host(1);
    let agent = || {
        let mut command = host.command(process::weft("weft-agent")?);
        let state = host.directory().join("state");
        command.args([
            "--controller",
            &lab.controller_urls()?,
            "--node",
            "h1",
            "--iface",
            "eth0",
        ]);
        command.arg("--insecure").arg("--state-dir").arg(&state);
        command.arg("--socket").arg(state.join("agent.sock"));
        command.stdout(Stdio::null());
        command.stderr(File::options().write(true).open("/dev/full")?);
        anyhow::Ok(command)
    };
    let mut first = keep(agent()?)?;
    let address = "127.0.0.1:7442".parse()?;
    patiently("the agent is ready", || {
        ensure!(first.try_wait()?.is_none(), "it ended");
        let answer = host.inside(|| ops::get(address, "/readyz"))?;
        ensure!(answer.status == 200, "{}", answer.body);
        Ok(())
    })?;
    // The last words of a process are no different.
    let second = keep(agent()?)?.wait()?;
    assert_eq!(second.code(), Some(1));
    first.kill()?;
    first.wait()?;
    Ok(())
}
