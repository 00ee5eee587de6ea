//! What of it is wrong, and what to do about it.

use std::{fmt::Display, time::Duration};

use super::{Agent, Facts, Finding, Network, State};
use crate::time::Span;
use ways::is_reached;

mod ways;

/// Below so many bytes, or files, an agent's disk is as good as full, or nearly so.
const NO_ROOM: u64 = 1 << 20;
const LITTLE_ROOM: u64 = 64 << 20;
const FEW_FILES: u64 = 100;
/// Clocks are told in whole seconds. Certificates are good from a minute before they are made.
const CLOCK_DOUBTFUL_S: u64 = 5;
const CLOCK_WRONG_S: u64 = 60;
/// A controller that takes longer is far away or busy.
const SLOW: Duration = Duration::from_millis(500);
/// Since the host's start: some packets are spoiled on every way.
const SPOILED: u64 = 100;
/// So much of the table of connections, in percent.
const TRACKED: u64 = 90;
/// A certificate is renewed long before this is left.
const LEFT: Duration = Duration::from_secs(3_600);

/// All findings, in the order in which a host is put right.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut report = Report(Vec::new());
    report.kernel(facts);
    report.settings(facts);
    report.agent(&facts.agent);
    report.disk(facts);
    report.controllers(facts);
    report.certificate(facts);
    for network in &facts.networks {
        report.network(facts, network);
    }
    report.firewall(facts);
    report.ways(facts);
    report.checksums(facts);
    report.0
}

struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, about: &str, found: impl Display) {
        self.0.push(Finding {
            state: State::Ok,
            about: about.into(),
            found: found.to_string(),
            remedy: None,
        });
    }

    fn bad(&mut self, state: State, about: &str, found: impl Display, remedy: impl Display) {
        self.0.push(Finding {
            state,
            about: about.into(),
            found: found.to_string(),
            remedy: Some(remedy.to_string()),
        });
    }

    fn doubt(&mut self, about: &str, found: impl Display, remedy: impl Display) {
        self.bad(State::Doubtful, about, found, remedy);
    }

    fn wrong(&mut self, about: &str, found: impl Display, remedy: impl Display) {
        self.bad(State::Wrong, about, found, remedy);
    }

    fn kernel(&mut self, facts: &Facts) {
        let release = &facts.release;
        let mut names = Vec::new();
        for (feature, can) in &facts.features {
            match can {
                Ok(()) => names.push(*feature),
                Err(why) => self.wrong(
                    "kernel",
                    format!("{release} has no {feature}: {why}"),
                    format!("load its module (modprobe {feature}), or take a kernel that has it"),
                ),
            }
        }
        if !names.is_empty() {
            self.ok("kernel", format!("{release} has {}", names.join(", ")));
        }
    }

    fn settings(&mut self, facts: &Facts) {
        let mut good = Vec::new();
        for setting in &facts.settings {
            let (name, wanted) = (&setting.name, &setting.wanted);
            match &setting.value {
                Some(value) if value == wanted => good.push(format!("{name}={value}")),
                Some(value) => self.wrong(
                    "settings",
                    format!("{name} is {value}"),
                    format!(
                        "sysctl -w {name}={wanted}; a running agent sets it: does something set it back?"
                    ),
                ),
                None => self.wrong(
                    "settings",
                    format!("there is no {name}"),
                    "take a kernel with this family of addresses, or a network without it",
                ),
            }
        }
        if !good.is_empty() {
            self.ok("settings", good.join(", "));
        }
        if let Some((tracked, most)) = facts.tracked {
            let found = format!("{tracked} of {most} connections are tracked");
            if tracked * 100 >= most * TRACKED {
                let remedy = "raise net.netfilter.nf_conntrack_max: beyond it new connections fail";
                self.wrong("settings", found, remedy);
            }
        }
    }

    fn agent(&mut self, agent: &Agent) {
        const ABOUT: &str = "agent";
        let (not_ready, failing, in_the_way) = match agent {
            Agent::Down => {
                let remedy = "systemctl start weft-agent; its log says why it ended";
                return self.wrong(ABOUT, "none answers at its socket", remedy);
            }
            Agent::Runs {
                not_ready,
                failing,
                in_the_way,
            } => (not_ready, failing, in_the_way),
        };
        for step in failing {
            let remedy = "do what the sentence says; the agent tries again by itself";
            self.wrong(ABOUT, step, remedy);
        }
        for route in in_the_way {
            let found = format!("somebody else's route is where ours should be: {route}");
            self.wrong(ABOUT, found, "remove it, or give the network other pools");
        }
        match not_ready {
            Some(reason) => self.wrong(
                ABOUT,
                format!("it is not ready: {reason}"),
                "see weft-agent status, and its log",
            ),
            None => self.ok(ABOUT, "it is ready"),
        }
    }

    fn disk(&mut self, facts: &Facts) {
        const ABOUT: &str = "disk";
        let disk = &facts.disk;
        let path = &disk.path;
        if let Some(reason) = &disk.not_kept {
            let remedy = format!("make room, or {path} writable: a restart needs the last state");
            self.wrong(ABOUT, reason, remedy);
        }
        let (bytes, files) = match &disk.room {
            Ok(room) => *room,
            Err(why) => {
                let remedy = "make the directory of --state-dir, or name another";
                return self.wrong(ABOUT, format!("{path}: {why}"), remedy);
            }
        };
        let found = format!("{path} has room for {} MB", bytes >> 20);
        let remedy = format!("make room on the disk of {path}");
        if bytes < NO_ROOM || files == 0 {
            self.wrong(ABOUT, found, remedy);
        } else if bytes < LITTLE_ROOM || files < FEW_FILES {
            self.doubt(ABOUT, format!("{found} and {files} files"), remedy);
        } else {
            self.ok(ABOUT, found);
        }
    }

    fn controllers(&mut self, facts: &Facts) {
        let mut ahead = Vec::new();
        for controller in &facts.controllers {
            let url = &controller.url;
            let about = "controller";
            let answer = match &controller.answer {
                Ok(answer) => answer,
                Err(why) => {
                    let remedy = "is it running, and its port let through? others serve meanwhile";
                    self.wrong(about, format!("{url}: {why}"), remedy);
                    continue;
                }
            };
            let took = Duration::from_micros(answer.answered_us);
            let found = format!(
                "{url} answers in {}, connected in {}",
                ms(answer.answered_us),
                ms(answer.connected_us)
            );
            if took > SLOW {
                self.doubt(about, found, "is it busy, or far away? weft status tells");
            } else {
                self.ok(about, found);
            }
            ahead.extend(answer.ahead_s.map(|ahead| (url, ahead)));
        }
        let Some((url, worst)) = ahead.iter().max_by_key(|(_, ahead)| ahead.unsigned_abs()) else {
            return;
        };
        let side = if *worst < 0 { "ahead of" } else { "behind" };
        let found = format!(
            "this host's is {} s {side} that of {url}",
            worst.unsigned_abs()
        );
        let remedy = "have time kept on both by NTP: certificates and leases go by it";
        match worst.unsigned_abs() {
            ..CLOCK_DOUBTFUL_S => self.ok("clock", "within seconds of the controllers'"),
            CLOCK_DOUBTFUL_S..CLOCK_WRONG_S => self.doubt("clock", found, remedy),
            CLOCK_WRONG_S.. => self.wrong("clock", found, remedy),
        }
    }

    fn certificate(&mut self, facts: &Facts) {
        const ABOUT: &str = "certificate";
        let Some(end) = facts.certificate else {
            return;
        };
        let left = end.since(facts.now);
        if left.is_zero() {
            let found = format!("it ended {} ago", Span(facts.now.since(end)));
            let remedy = "a running agent renews it; after 30 days join again with a token";
            self.wrong(ABOUT, found, remedy);
        } else if left < LEFT {
            let remedy = "it should have been renewed: the agent's log says why not";
            self.doubt(ABOUT, format!("it ends in {}", Span(left)), remedy);
        } else {
            self.ok(ABOUT, format!("good for {}", Span(left)));
        }
    }

    fn network(&mut self, facts: &Facts, network: &Network) {
        let about = format!("network {}", network.name);
        let port = network.port;
        let Some(device) = &network.device else {
            let remedy = if facts.taken.contains(&port) {
                format!("a program listens on UDP port {port}: end it")
            } else {
                "a running agent makes it: see what it says above".into()
            };
            return self.wrong(&about, "its device is not there", remedy);
        };
        for tunnel in facts.tunnels.iter().filter(|tunnel| tunnel.port == port) {
            let found = format!("{} uses UDP port {port} as well", tunnel.name);
            let remedy = "give one of the two networks another port; Weft's guard lets in its own \
                          peers alone";
            if tunnel.vni == network.vni {
                self.wrong(&about, format!("{found}, and the same VNI"), remedy);
            } else {
                self.doubt(&about, found, remedy);
            }
        }
        let name = &device.name;
        let inner = network
            .uplink_mtu
            .map(|mtu| mtu.saturating_sub(network.overhead));
        if !device.up {
            self.wrong(
                &about,
                format!("{name} is down"),
                format!("ip link set {name} up"),
            );
        } else if let Some(inner) = inner.filter(|inner| *inner < device.mtu) {
            let found = format!("{name} has MTU {}, the uplink carries {inner}", device.mtu);
            self.wrong(&about, found, format!("ip link set {name} mtu {inner}"));
        } else {
            self.ok(
                &about,
                format!("{name} is up, port {port}, MTU {}", device.mtu),
            );
        }
        match (network.offload, network.distrust) {
            (Some(true), Some(why)) => self.doubt(
                &about,
                format!("checksums are left to the hardware, and {why}"),
                "--checksum-offload auto, or off",
            ),
            (Some(true), None) => self.ok(&about, "checksums are left to the hardware"),
            (Some(false), _) => self.ok(&about, "the kernel makes the checksums"),
            (None, _) => {}
        }
    }

    fn firewall(&mut self, facts: &Facts) {
        const ABOUT: &str = "firewall";
        for shut in &facts.shut {
            let remedy = "a running agent opens a way there: see what it says above";
            self.wrong(ABOUT, shut, remedy);
        }
        if facts.closed.is_empty() && facts.shut.is_empty() {
            self.ok(ABOUT, "nothing of others drops by policy");
        }
        // That peers are reached shows that it lets the overlay through.
        let reached = !facts.ways.is_empty() && facts.ways.iter().all(is_reached);
        for closed in &facts.closed {
            let found = format!("{closed} drops what it does not accept");
            if reached {
                self.ok(ABOUT, format!("{found}; the overlay passes"));
            } else {
                let ports: Vec<String> = facts
                    .networks
                    .iter()
                    .map(|one| one.port.to_string())
                    .collect();
                let remedy = format!("let UDP port {} of all hosts in there", ports.join(", "));
                self.doubt(ABOUT, found, remedy);
            }
        }
    }

    fn checksums(&mut self, facts: &Facts) {
        let spoiled = facts.spoiled;
        let found = format!("{spoiled} packets came with a wrong one since the host began");
        if spoiled > SPOILED {
            let remedy = "if TCP stalls where ping works: --checksum-offload off, on the hosts \
                          that send to this one";
            self.doubt("checksums", found, remedy);
        } else {
            self.ok("checksums", found);
        }
    }
}

fn ms(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ms = us as f64 / 1000.0;
    format!("{ms:.1} ms")
}
