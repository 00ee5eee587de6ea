//! One controller dies, and its agents go to the other.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{ASK, CONTROLLERS, Churn, LENGTH, PATIENCE};
use crate::{burst::most_within, datapath::cpu::Cpu, time};

/// In the last part one controller dies after this.
const BEFORE_DEATH: Duration = Duration::from_secs(5);

impl Churn {
    pub async fn one_dies(&mut self, rate: u32) -> Result<()> {
        let count = self.witnesses.len();
        self.change(rate, BEFORE_DEATH).await?;
        self.mark().await?;
        self.fleet.lags.take();
        self.fleet.take_failures();
        let other = self.controllers[CONTROLLERS - 1].pid()?;
        let before = Cpu::of(other)?;
        let began = Instant::now();
        self.controllers[0].kill()?;
        let fleet = self.fleet.clone();
        let back = tokio::spawn(async move {
            // It takes a moment until they notice.
            let mut lost = 0;
            loop {
                let sessions = fleet.sessions.load(Ordering::Relaxed);
                lost = lost.max(count - sessions.min(count));
                if lost > 0 && sessions == count {
                    return (lost, began.elapsed(), Cpu::of(other));
                }
                sleep(ASK).await;
            }
        });
        self.change(rate, LENGTH).await?;
        let back = tokio::time::timeout(PATIENCE, back).await;
        let (lost, all, after) = back.context("not all came back")??;
        let busy = after?.since(&before);
        let openings = self.fleet.openings(began);
        self.mark().await?;
        let lags = self.fleet.lags.take();
        println!(
            "\nOne controller is killed at {rate} changes a second\n\n| what | figure |\n|---|---:|"
        );
        println!("| sessions lost at most | {lost} |");
        println!("| sessions opened | {} |", openings.len());
        println!("| all agents have one again | {} |", time(all));
        let most = most_within(&openings, Duration::from_secs(1));
        println!("| most in one second | {most} |");
        println!(
            "| CPU of the other controller until then | {} |",
            time(busy)
        );
        println!(
            "| from a change to an agent: p50, p99, last | {}, {}, {} |",
            time(lags.p50),
            time(lags.p99),
            time(lags.max)
        );
        for (failure, times) in self.fleet.take_failures() {
            println!("| attempts that failed: {failure} | {times} |");
        }
        println!();
        Ok(())
    }
}
