//! `weft status`: how the whole fleet is, as its controllers see it together.

use std::time::Duration;

use clap::Args;
use options::Exit;
use proto::v1;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    connect::{Connection, Reach},
    failure::Failure,
    output::Output,
};
pub use report::Report;

mod line;
mod report;

/// Between two looks while waiting.
const AGAIN: Duration = Duration::from_millis(200);
/// So many nodes are listed, the troubled first.
const LISTED: u32 = 50;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft status
  weft status --wait 2m && start-the-rest
  weft status --controller http://10.0.0.2:7440,http://10.0.0.3:7440
  weft status --all -o json

All controllers of --controller are asked: what nodes report is known to the one that has
their session. The exit code is 0 if one that answers is ready, and 3 if none is.")]
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
    /// List every node, and not only those in trouble and as many others as there is room for
    #[arg(long)]
    all: bool,
}

/// What one controller says.
pub struct Look {
    url: String,
    answer: Result<v1::Status, Failure>,
}

pub async fn run(ask: Ask, reach: &Reach, output: &Output) -> Result<Exit, Failure> {
    let most = if ask.all { u32::MAX } else { LISTED };
    let looks = match ask.wait {
        None => look(reach, most).await,
        Some(patience) => wait(reach, most, patience).await,
    };
    let report = Report::of(looks, most as usize)?;
    let exit = if report.is_ready() {
        Exit::Done
    } else {
        Exit::NotReady
    };
    // Waiting may have taken long.
    let output = Output::new(output.format);
    let height = output.height.filter(|_| !ask.all);
    output.print(&report, || report.text(output.now_ms, output.width, height))?;
    Ok(exit)
}

/// With all nodes.
pub async fn whole(reach: &Reach) -> Result<Report, Failure> {
    Report::of(look(reach, u32::MAX).await, usize::MAX)
}

/// Asks every controller.
async fn look(reach: &Reach, nodes: u32) -> Vec<Look> {
    let mut looking = JoinSet::new();
    for (place, (url, opened)) in Connection::each(reach).await.into_iter().enumerate() {
        looking.spawn(async move {
            let answer = match opened {
                Ok(connection) => {
                    let request = v1::GetStatusRequest { nodes };
                    connection.answer(connection.status().get(request)).await
                }
                Err(failure) => Err(failure),
            };
            (place, Look { url, answer })
        });
    }
    let mut looks = looking.join_all().await;
    looks.sort_by_key(|(place, _)| *place);
    looks.into_iter().map(|(_, look)| look).collect()
}

/// Looks until one is ready or the time is over; what was seen last counts then.
async fn wait(reach: &Reach, nodes: u32, patience: Duration) -> Vec<Look> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let reach = Reach {
            timeout: reach.timeout.min(left.max(AGAIN)),
            ..reach.clone()
        };
        let looks = look(&reach, nodes).await;
        let may_come = looks.iter().all(|look| match &look.answer {
            Ok(status) => !status.ready,
            Err(failure) => failure.exit() == Exit::NotReady,
        });
        if !may_come || left.is_zero() {
            return looks;
        }
        sleep(AGAIN.min(end.saturating_duration_since(Instant::now()))).await;
    }
}
