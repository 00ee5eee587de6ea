//! examples/monitoring under a real Prometheus: every alert fires when its fault is made and
//! none before, every panel of the dashboard shows something.

#[path = "monitoring_shows_what_is_wrong/files.rs"]
mod files;
#[path = "monitoring_shows_what_is_wrong/fleet.rs"]
mod fleet;
#[path = "monitoring_shows_what_is_wrong/nodes.rs"]
mod nodes;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tests::{
    lab::{Agent, Lab},
    prometheus::Prometheus,
    wait::patiently,
};

/// So many rounds of alerts are seen to be silent while nothing is wrong.
const QUIET: Duration = Duration::from_secs(8);

struct Watched {
    // In the order in which they are to end.
    prometheus: Prometheus,
    agents: Vec<Agent>,
    lab: Lab,
}

impl Watched {
    /// A fleet with certificates, and a Prometheus that has found nothing to say.
    fn new(hosts: u32, controllers: u32, agent: &[&str]) -> Result<Self> {
        let mut lab = Lab::new(hosts)?;
        lab.trust()?;
        // Eight subnets of each family.
        let small = ["--default-network", "10.32.0.0/21,fd77:32::/61"];
        lab.start_controllers(controllers, &small)?;
        let agents = lab.agents(agent)?;
        let prometheus = Prometheus::watch(&lab)?;
        sleep(QUIET);
        let seconds = 2 * QUIET.as_secs();
        let said = prometheus.query(&format!("count_over_time(ALERTS[{seconds}s])"))?;
        ensure!(said.is_empty(), "nothing is wrong: {said:?}");
        Ok(Self {
            prometheus,
            agents,
            lab,
        })
    }

    /// It was silent, and says so now that its fault is made.
    fn fires(&mut self, alert: &str, fault: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        // What was wrong before may still be pending.
        self.silent(&[alert])?;
        let began = Instant::now();
        fault(self)?;
        let said = patiently(&format!("{alert} fires"), || {
            let said = self.prometheus.firing(alert)?;
            ensure!(!said.is_empty(), "{:?}", self.prometheus.alerts()?);
            Ok(said)
        })?;
        println!("after {:?}", began.elapsed());
        for words in said {
            println!("{alert}: {words}");
        }
        Ok(())
    }

    /// What was wrong is right again.
    fn silent(&self, alerts: &[&str]) -> Result<()> {
        patiently(&format!("{alerts:?} are over"), || {
            let there = self.prometheus.alerts()?;
            let over = alerts.iter().all(|alert| !there.contains(*alert));
            ensure!(over, "{there:?}");
            Ok(())
        })
    }
}
