//! What came of it, for a person.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    Plan,
    diary::{Act, Deed},
    judge::{Cost, Verdict},
    processes::Series,
    stage::{Stage, Violation},
    traffic::Carried,
};

/// Violations that are shown.
const SHOWN: usize = 30;

/// What is counted on the way.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub costs: BTreeMap<Act, Cost>,
    pub unexplained: u64,
    pub streams: Carried,
    pub quiet: u32,
    /// Lines of logs at WARN that follow from acts, by what they say.
    pub complaints: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub struct Report {
    pub plan: Plan,
    pub took: Duration,
    pub sent: u64,
    pub tally: Tally,
    pub deeds: Vec<Deed>,
    pub processes: Vec<Series>,
    /// Of all processors, of the whole machine.
    pub busy: Option<f64>,
    pub violations: Vec<Violation>,
}

impl Tally {
    pub fn carried(&mut self, carried: Carried) {
        self.streams.streams += carried.streams;
        self.streams.bytes += carried.bytes;
        self.streams.longest_pause = self.streams.longest_pause.max(carried.longest_pause);
    }

    pub fn losses(&mut self, verdict: &Verdict) {
        for (act, cost) in &verdict.costs {
            let all = self.costs.entry(*act).or_default();
            all.lost += cost.lost;
            all.longest = all.longest.max(cost.longest);
        }
        self.unexplained += verdict.unexplained.iter().map(|one| one.lost).sum::<u64>();
    }

    pub fn allowed(&self) -> u64 {
        self.costs.values().map(|cost| cost.lost).sum()
    }
}

impl Report {
    pub fn of(stage: &Stage, tally: Tally, busy: Option<f64>) -> Self {
        Self {
            plan: stage.plan.clone(),
            took: stage.start.elapsed(),
            sent: stage.traffic.sent(),
            tally,
            deeds: stage.diary.deeds(),
            processes: stage.processes.all(),
            busy,
            violations: stage.violations(),
        }
    }

    pub fn count(&self, act: Act) -> usize {
        self.deeds.iter().filter(|deed| deed.act == act).count()
    }

    /// Every act with its times.
    pub fn diary(&self) -> String {
        let lines = self.deeds.iter().map(|deed| match deed.healed {
            Some(healed) => format!("{deed} (right after {})\n", short(Some(&healed))),
            None => format!("{deed}\n"),
        });
        lines.collect()
    }

    fn acts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<26} {:>6} {:>9} {:>9} {:>12} {:>10}",
            "act", "times", "lost", "silence", "right after", "at worst"
        )?;
        for act in Act::ALL {
            let mut healed: Vec<Duration> = self
                .deeds
                .iter()
                .filter(|deed| deed.act == act)
                .filter_map(|deed| deed.healed)
                .collect();
            healed.sort_unstable();
            let times = self.count(act);
            if times == 0 {
                continue;
            }
            let cost = self.tally.costs.get(&act).copied().unwrap_or_default();
            let (median, worst) = (healed.get(healed.len() / 2), healed.last());
            writeln!(
                f,
                "  {:<26} {times:>6} {:>9} {:>9} {:>12} {:>10}",
                act.name(),
                cost.lost,
                short((cost.lost > 0).then_some(&cost.longest)),
                short(median),
                short(worst),
            )?;
        }
        Ok(())
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<26} {:>6} {:>9} {:>9} {:>12} {:>10}",
            "memory", "lived", "most", "end", "MB an hour", "files"
        )?;
        let mut all: Vec<&Series> = self.processes.iter().collect();
        all.sort_by_key(|series| std::cmp::Reverse(series.lived()));
        // The oldest of all are what tells of a leak.
        for series in all.iter().take(8) {
            let files = series.rests.first().zip(series.rests.last());
            let files = files.map_or("-".into(), |(first, last)| {
                format!("{} - {}", first.files, last.files)
            });
            let slope = series.slope().map(|slope| format!("{:.1}", slope / 1e6));
            writeln!(
                f,
                "  {:<26} {:>6} {:>9} {:>9} {:>12} {files:>10}",
                series.name,
                format!("{:.0} s", series.lived().as_secs_f64()),
                megabytes(series.most()),
                megabytes(series.newest()),
                slope.unwrap_or_else(|| "too short".into()),
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            streams,
            quiet,
            unexplained,
            ..
        } = &self.tally;
        writeln!(
            f,
            "{}, {:.0} s, {} acts, {quiet} quiet moments",
            self.plan,
            self.took.as_secs_f64(),
            self.deeds.len()
        )?;
        self.acts(f)?;
        self.memory(f)?;
        writeln!(
            f,
            "  {} pings, {} lost while an act allowed it, {unexplained} otherwise",
            self.sent,
            self.tally.allowed()
        )?;
        writeln!(
            f,
            "  {} TCP streams, {} MB, the longest pause {}",
            streams.streams,
            streams.bytes / 1_000_000,
            short(Some(&streams.longest_pause))
        )?;
        for (text, count) in &self.tally.complaints {
            writeln!(f, "  {count} warnings with a cause: {text}")?;
        }
        if let Some(busy) = self.busy {
            writeln!(
                f,
                "  the machine was busy for {:.0} % of the time",
                busy * 100.0
            )?;
        }
        write!(f, "  {} violations", self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN) {
            write!(f, "\n  at {:.3?}: {}", violation.at, violation.what)?;
        }
        if self.violations.len() > SHOWN {
            write!(f, "\n  and {} more", self.violations.len() - SHOWN)?;
        }
        if !self.violations.is_empty() {
            write!(f, "\nthe same again: {}", self.plan.command())?;
        }
        Ok(())
    }
}

fn short(time: Option<&Duration>) -> String {
    match time {
        None => "-".into(),
        Some(time) if time.as_secs() >= 1 => format!("{:.1} s", time.as_secs_f64()),
        Some(time) => format!("{} ms", time.as_millis()),
    }
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("-".into(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
}
