//! Lines of the logs at WARN or ERROR: each must follow from something that was done.

use std::time::Duration;

use super::diary::{
    Act::{self, *},
    Deed,
};

/// An act and a line may be written down in either order.
const SAME_TIME: Duration = Duration::from_secs(1);

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Of whom: `agent h1`, `controller 2`.
    pub by: String,
    /// Of an agent: its host.
    pub host: Option<u32>,
    pub at: Duration,
    pub text: String,
}

/// A line that contains this follows from one of these acts, done to the host that
/// says so or to the controllers, so long after its end at the most.
struct Rule {
    contains: &'static str,
    from: From,
    within: Duration,
}

enum From {
    /// It is said at every start, as it should be.
    Start,
    /// So it is where a machine is slow, because others use it.
    Slow,
    Acts(&'static [Act]),
}

const CONTROL: &[Act] = &[
    ControllerKilled,
    ControllerStopped,
    ControllerFrozen,
    ControllersAway,
    EtcdRestarted,
    EtcdCompacted,
    EtcdPaused,
    CutFromControllers,
    UplinkPulled,
    SlowLink,
    AddressChanged,
];
const STORE: &[Act] = &[
    EtcdRestarted,
    EtcdCompacted,
    EtcdPaused,
    ControllersAway,
    ControllerFrozen,
];

const RULES: &[Rule] = &[
    start("speaking plain text"),
    start("serving plain text"),
    // The longest pause between two attempts is 7.5 s, and an attempt may take 3 s.
    rule("no session with a controller", CONTROL, 12),
    rule("the store is away", STORE, 10),
    rule("cut off from the store", STORE, 10),
    rule("sessions expired in the store", STORE, 20),
    rule("could not end the sessions in the store", STORE, 10),
    rule("the network was deleted", &[NetworkDeletedInUse], 5),
    // Another controller may not have heard of a new one yet.
    rule(
        "the controller refused",
        &[NetworkDeletedInUse, NetworkComesAndGoes],
        5,
    ),
    rule("a part of what was removed is yet to be ended", STORE, 5),
    slow("no answer within"),
    slow("no session with a controller"),
    slow("cut off from the store"),
    slow("sessions expired in the store"),
    rule(
        "the kernel refused",
        &[DeviceChanged, EntryChanged, FirewallChanged],
        2,
    ),
];

const fn slow(contains: &'static str) -> Rule {
    Rule {
        contains,
        from: From::Slow,
        within: Duration::ZERO,
    }
}

const fn start(contains: &'static str) -> Rule {
    Rule {
        contains,
        from: From::Start,
        within: Duration::ZERO,
    }
}

const fn rule(contains: &'static str, acts: &'static [Act], seconds: u64) -> Rule {
    Rule {
        contains,
        from: From::Acts(acts),
        within: Duration::from_secs(seconds),
    }
}

impl Complaint {
    /// Of `<time> WARN <text>`; the start of the soak is told in the time of the log.
    pub fn parse(by: &str, host: Option<u32>, line: &str, start_ms: u64) -> Option<Self> {
        let (time, text) = line.split_once(char::is_whitespace)?;
        let at = unix_ms(time)?.saturating_sub(start_ms);
        Some(Self {
            by: by.to_owned(),
            host,
            at: Duration::from_millis(at),
            text: text.trim().to_owned(),
        })
    }

    /// By the words of a rule; on a busy machine there are more of them.
    pub fn explained(&self, deeds: &[Deed], busy: bool) -> Option<&'static str> {
        let mut rules = RULES
            .iter()
            .filter(|rule| self.text.contains(rule.contains));
        let rule = rules.find(|rule| match rule.from {
            From::Start => true,
            From::Slow => busy,
            From::Acts(acts) => deeds.iter().any(|deed| {
                let here = deed.hosts.is_empty()
                    || self.host.is_none_or(|host| deed.hosts.contains(&host));
                here && acts.contains(&deed.act)
                    && deed.lasts(self.at, self.at + SAME_TIME, rule.within + SAME_TIME)
            }),
        })?;
        Some(rule.contains)
    }
}

/// Milliseconds since 1970 of `2026-02-03T04:05:06.789012Z`.
fn unix_ms(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let mut next = || date.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let mut clock = time.split([':', '.']);
    let mut next = || clock.next()?.parse::<u64>().ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    let fraction: String = clock
        .next()
        .unwrap_or("0")
        .chars()
        .chain("000".chars())
        .take(3)
        .collect();
    // Years begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    // 719,469 days lie between the 0th of March 0000 and 1970.
    let days = days.checked_sub(719_469)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1000 + fraction.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests;
