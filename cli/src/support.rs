//! `weft support-bundle`: one archive of all that helps to find a fault.

use std::path::PathBuf;

use clap::Args;
use options::clock;
use overlay::name::NodeName;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    connect::Reach,
    failure::Failure,
    output::{self, Output, counted},
};
use archive::Archive;
pub use archive::ArchiveError;
use gather::Gathered;

mod archive;
mod gather;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft support-bundle
  weft support-bundle --node web-1,web-2 --to bug.tar

All controllers of --controller are asked, and every node of a fleet of up to 24, else those in
trouble. README.txt in the archive says what is in it and what could not be had. Tokens, keys and
passwords are left out; names and addresses are not: look before you hand it on.")]
pub struct Bundle {
    /// Ask these nodes
    #[arg(
        long,
        value_name = "NAME[,NAME]",
        value_delimiter = ',',
        conflicts_with = "all_nodes"
    )]
    node: Vec<NodeName>,
    /// Ask every node
    #[arg(long)]
    all_nodes: bool,
    /// Where to write it [default: weft-support-TIME.tar]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace the file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Made {
    file: String,
    bytes: u64,
    files: usize,
    missing: Vec<String>,
}

pub async fn run(bundle: Bundle, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let failed = Failure::Runtime;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stopped = || Failure::Refused("it was told to stop, and left nothing".into());
    // Whatever comes first is the end; a half archive goes with its writer.
    tokio::select! {
        made = make(&bundle, reach, output.now_ms) => {
            let made = made?;
            output.print(&made, || said(&made))
        }
        _ = interrupt.recv() => Err(stopped()),
        _ = terminate.recv() => Err(stopped()),
    }
}

async fn make(bundle: &Bundle, reach: &Reach, now_ms: u64) -> Result<Made, Failure> {
    let time = clock::utc(now_ms).replace([':', '-'], "");
    let name = format!("weft-support-{time}");
    let target = bundle.to.clone();
    let target = target.unwrap_or_else(|| format!("{name}.tar").into());
    let archive = Archive::create(&target, bundle.force, name, now_ms / 1000)?;
    let mut gathered = Gathered::new(archive, now_ms);
    gather::everything(bundle, reach, &mut gathered).await?;
    let (bytes, files, missing) = gathered.finish()?;
    Ok(Made {
        file: target.display().to_string(),
        bytes,
        files,
        missing,
    })
}

fn said(made: &Made) -> String {
    let files = counted(made.files as u64, "file");
    let kilobytes = made.bytes.div_ceil(1024);
    let mut text = format!("{}: {files}, {kilobytes} KB\n", made.file);
    for missing in &made.missing {
        text.push_str(&format!("missing: {missing}\n"));
    }
    text
}

/// While it works.
fn progress(line: &str) {
    output::note(&format!("weft: {line}"));
}
