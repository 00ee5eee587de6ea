//! weft-controller: reads its options and runs until it is told to stop.

use anyhow::Context;
use controller::{config::Options, run::run};
use options::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> Exit {
    let options: Options = options::parse();
    let done = options
        .common
        .init_tracing()
        .map_err(anyhow::Error::from)
        .and_then(|()| start(options));
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("weft-controller: {}", options::sentence(error.as_ref()));
            Exit::Failed
        }
    }
}

#[tokio::main]
async fn start(options: Options) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot hear SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear SIGINT")?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        // Whichever comes; nothing is lost with the other.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    run(options, stop).await
}
