//! The options of every binary, and the log that they describe.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::Events;

/// Names what is logged: `debug`, or `info,controller=trace`. Nothing said: `info`.
pub const FILTER_VARIABLE: &str = "WEFT_LOG";

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Common {
    /// Read options from this TOML file, under their long names [default: the one in /etc/weft]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How to write the log, which goes to standard error
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    #[command(flatten)]
    pub ask: crate::Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Error)]
pub enum LogError {
    // The causes say the same again, so there is only the text.
    #[error("{FILTER_VARIABLE} must be such as `info` or `info,controller=debug`: {0}")]
    Filter(String),
    #[error("the log is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Common {
    /// Starts the log of this process; what it says at `info` and above becomes events as
    /// well, whatever the filter.
    pub fn init_tracing(&self, events: Option<&Events>) -> Result<(), LogError> {
        let filter = EnvFilter::builder()
            .with_env_var(FILTER_VARIABLE)
            .with_default_directive(LevelFilter::INFO.into())
            .from_env()
            .map_err(|error| LogError::Filter(error.to_string()))?;
        let log = fmt::layer()
            // A line that cannot be written is lost. To complain of it on standard
            // error, which is what is full or gone, would end the process.
            .log_internal_errors(false)
            .with_writer(io::stderr);
        let log = match self.log_format {
            LogFormat::Text => log.with_target(false).with_ansi(colours()).boxed(),
            LogFormat::Json => log.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(log.with_filter(filter))
            .with(events.map(Events::layer))
            .try_init()
            .map_err(LogError::Twice)
    }
}

fn colours() -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !unwanted
}
