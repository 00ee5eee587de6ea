//! `weft-cni`: started by an engine for every container, it asks the agent and ends.

use std::{
    env,
    io::{self, Read, Write},
    process::ExitCode,
};

use cni::loose::LONGEST;

mod command;
mod install;
mod podman;
mod verbs;

fn main() -> ExitCode {
    let words: Vec<String> = env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if words.is_empty() && env::var_os("CNI_COMMAND").is_some() {
        verbs::run()
    } else {
        command::run(&words)
    }
}

/// All that was handed over, or a byte more than may be.
fn stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = LONGEST as u64 + 1;
    io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Nobody may be there to read it.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.write_all(b"\n");
    let _ = stdout.flush();
}
