//! A fleet with certificates lets in whom it was told to, and nobody else.

use anyhow::{Context, Result, ensure};
use tests::lab::Lab;

#[path = "only_whom_is_trusted/calls.rs"]
mod calls;
#[path = "only_whom_is_trusted/certificates.rs"]
mod certificates;
#[path = "only_whom_is_trusted/removal.rs"]
mod removal;
#[path = "only_whom_is_trusted/strangers.rs"]
mod strangers;
#[path = "only_whom_is_trusted/tokens.rs"]
mod tokens;

/// A fleet with an authority: one controller on the embedded store, and hosts that have not
/// joined.
fn fleet(hosts: u32, flags: &[&str]) -> Result<Lab> {
    let mut lab = Lab::new(hosts)?;
    lab.trust()?;
    lab.start_controller(flags)?;
    Ok(lab)
}

/// The one controller's.
fn seal(lab: &Lab) -> Result<String> {
    let trusted = lab.trusted.as_ref().context("a fleet with an authority")?;
    Ok(trusted.seal().display().to_string())
}

/// What somebody was told is this, and it was not done.
fn refused(said: &tests::process::Said, with: &str) -> Result<()> {
    ensure!(
        said.code != 0 && said.stderr.contains(with),
        "{with}: {said:?}"
    );
    let lines = said.stderr.lines().filter(|line| line.starts_with("weft"));
    ensure!(lines.count() == 1, "one sentence: {said:?}");
    Ok(())
}
