//! `weft status`: how the whole fleet is, as one controller sees it.

use std::time::Duration;

use clap::Args;
use options::Exit;
use proto::v1;
use tokio::time::{Instant, sleep};

use crate::{
    connect::{Connection, Reach},
    failure::Failure,
    output::Output,
};
use report::Report;

mod report;

/// Between two looks while waiting.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft status
  weft status --wait 2m && start-the-rest
  weft status -o json

The exit code is 0 if the controller that answers is ready, and 3 if it is not.")]
pub struct Ask {
    /// Wait until a controller is ready [without TIMEOUT: for a minute]
    #[arg(
        long,
        value_name = "TIMEOUT",
        value_parser = options::parse_duration,
        num_args = 0..=1,
        default_missing_value = "1m"
    )]
    wait: Option<Duration>,
}

pub async fn run(ask: Ask, reach: &Reach, output: &Output) -> Result<Exit, Failure> {
    let (url, status) = match ask.wait {
        None => look(reach).await?,
        Some(patience) => wait(reach, patience).await?,
    };
    let exit = if status.ready {
        Exit::Done
    } else {
        Exit::NotReady
    };
    // Waiting may have taken long.
    let output = Output::new(output.format);
    let report = Report::from(status);
    output.print(&report, || report.text(&url, output.now_ms, output.width))?;
    Ok(exit)
}

async fn look(reach: &Reach) -> Result<(String, v1::Status), Failure> {
    let connection = Connection::open(reach).await?;
    let request = v1::GetStatusRequest {};
    let status = connection.answer(connection.status().get(request)).await?;
    Ok((connection.url, status))
}

/// Looks until it is ready or the time is over; what was seen last counts then.
async fn wait(reach: &Reach, patience: Duration) -> Result<(String, v1::Status), Failure> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let reach = Reach {
            timeout: reach.timeout.min(left.max(AGAIN)),
            ..reach.clone()
        };
        let seen = look(&reach).await;
        let may_come = match &seen {
            Ok((_, status)) => !status.ready,
            Err(failure) => failure.exit() == Exit::NotReady,
        };
        if !may_come || left.is_zero() {
            return seen;
        }
        sleep(AGAIN.min(end.saturating_duration_since(Instant::now()))).await;
    }
}
