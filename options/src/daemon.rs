//! How a daemon starts and stops: options, log, events, a runtime, and SIGTERM or SIGINT.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

use clap::Parser;
use overlay::event::Level;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Common, Events, Exit, in_force, parse, sentence};

/// What a daemon knows of itself.
#[derive(Debug, Clone)]
pub struct Process {
    pub events: Events,
    /// Its options in force, without secrets.
    pub in_force: Arc<str>,
}

/// Runs a daemon from its arguments to its exit code. `run` gets a token that is
/// cancelled when the process is told to stop, and what this process knows of itself; its
/// events have so much room.
pub fn serve<T: Parser, F>(
    common: impl FnOnce(&T) -> &Common,
    room: usize,
    run: impl FnOnce(T, CancellationToken, Process) -> F,
) -> Exit
where
    F: Future<Output = anyhow::Result<()>>,
{
    let options: T = parse();
    let name = T::command().get_name().to_owned();
    let failed = |error: &anyhow::Error| {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "{name}: {}", sentence(error.as_ref()));
        Exit::of(error)
    };
    let events = match Events::new(room) {
        Ok(events) => events,
        Err(error) => return failed(&error.into()),
    };
    if let Err(error) = common(&options).init_tracing(Some(&events)) {
        return failed(&error.into());
    }
    raise_descriptors();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(cancel_on_signal(stop.clone()));
        let in_force = in_force::<T>().into();
        let events = events.clone();
        run(options, stop, Process { events, in_force }).await
    });
    // What still runs is of no use to anybody any more.
    runtime.shutdown_background();
    let exit = match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            let reason = ("reason".to_owned(), sentence(error.as_ref()));
            events.add(Level::Error, "ended", BTreeMap::from([reason]));
            failed(&error)
        }
    };
    events.end();
    exit
}

/// Allows as many open files as this process may ask for: the usual 1024 is for
/// programs that wait with `select`, and a controller of a large fleet needs more.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        warn!(%error, limit = ?limit.current, "could not raise the limit of open files");
    }
}

async fn cancel_on_signal(stop: CancellationToken) {
    let heard = |kind| signal(kind).expect("a process may listen for its signals");
    let (mut terminate, mut interrupt) = (
        heard(SignalKind::terminate()),
        heard(SignalKind::interrupt()),
    );
    // Whichever comes; nothing is lost with the other.
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal, "told to stop");
    stop.cancel();
}
