//! Seeds, each a process: this program again, with the seed in its environment.

use std::{
    env,
    io::{self, Read},
    ops::Range,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// Before the digest of a run in which all was well.
pub const GOOD: &str = "all is well: ";

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// How to see a run again.
fn replay(seed: u64) -> String {
    format!(
        "replay with WEFT_SEED={seed} cargo nextest run --workspace --no-capture -E 'binary(virtual_time) & test(whatever)'"
    )
}

/// Runs them, two at a time: those that failed. What they said is printed at once.
pub fn all(seeds: Range<u64>) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let mut failed = thread::scope(|scope| {
        let runners = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut failed = Vec::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return failed;
                    }
                    if let Err(said) = tell(seed) {
                        println!("{said}\n{}\n", replay(seed));
                        failed.push(seed);
                    }
                }
            })
        });
        let failed = runners.map(|runner| runner.join().expect("it runs processes"));
        failed.concat()
    });
    failed.sort();
    failed
}

/// One run: its digest, or what was wrong.
pub fn tell(seed: u64) -> Result<String, String> {
    let (ended, said) = start(seed).map_err(|error| error.to_string())?;
    if number("WEFT_SEED").is_some() {
        println!("{said}");
    }
    let digest = said.lines().find_map(|line| line.strip_prefix(GOOD));
    match digest {
        Some(digest) if ended => Ok(digest.to_owned()),
        Some(_) | None => Err(said),
    }
}

/// Runs the process to its end: whether that was a good one, and what it said.
fn start(seed: u64) -> io::Result<(bool, String)> {
    let mut run = Command::new(env::current_exe()?);
    run.args(["this_seed", "--exact", "--ignored", "--nocapture"])
        .env("WEFT_SEED", seed.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    if number("WEFT_SEED").is_some() {
        run.env("WEFT_PRINT", "1");
    }
    let (mut reader, writer) = io::pipe()?;
    run.stdout(writer.try_clone()?).stderr(writer);
    let mut running = run.spawn()?;
    // The pipe ends when nobody can write to it any more.
    drop(run);
    let mut said = String::new();
    reader.read_to_string(&mut said)?;
    Ok((running.wait()?.success(), said))
}
