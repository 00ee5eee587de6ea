//! examples/secure-fleet does what it says, from the first token to the last revocation.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use tests::process;

#[test]
fn it_runs_to_its_end() -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/secure-fleet");
    // It looks for the programs where these tests found theirs.
    let program = process::weft("weft-lab")?;
    let built = program.ancestors().nth(2).context("a target directory")?;
    let mut command = Command::new(example);
    command.env("CARGO_TARGET_DIR", built);
    let said = process::said(command)?;
    ensure!(said.code == 0, "{}\n{}", said.stdout, said.stderr);
    for step in ["was removed as node h3", "is for node h3", "== The end"] {
        ensure!(said.stdout.contains(step), "{step}: {}", said.stdout);
    }
    Ok(())
}
