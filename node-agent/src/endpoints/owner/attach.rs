//! Containers come.

use overlay::{
    endpoint::{
        Endpoint, EndpointId, Sandbox,
        book::{Ask, Line, Refused},
    },
    name::NetworkName,
    subnet::{Family, Subnet},
};
use socket::words::{Attach, Attached, Reason, Refusal};
use tokio::{task::block_in_place, time::Instant};
use tracing::{info, warn};

use super::{
    super::{
        door::Answer,
        ground::{Ground, answers_loopback},
        sandbox::{self, Found},
    },
    Owner, PATIENCE, Waiting, now,
    program::Coming,
    reply,
};

impl Owner {
    pub(super) async fn attach(&mut self, asked: Vec<(Box<Attach>, Answer<Attached>)>) {
        let coming = self.admit(asked);
        if coming.is_empty() {
            return;
        }
        let (ones, answers): (Vec<Coming>, Vec<Answer<Attached>>) = coming.into_iter().unzip();
        let mut failures = block_in_place(|| self.program(&ones));
        let publishing = || ones.iter().filter(|one| !one.endpoint.publish.is_empty());
        if publishing().next().is_some()
            && let Err(reason) = self.publish().await
        {
            for one in publishing() {
                let reason = Refusal::new(Reason::Kernel, reason.clone());
                failures.entry(one.endpoint.id()).or_insert(reason);
            }
        }
        let undone = ones.iter().filter(|one| !one.again);
        let undone = undone.filter(|one| failures.contains_key(&one.endpoint.id()));
        let undone: Vec<Endpoint> = undone.map(|one| one.endpoint.clone()).collect();
        if !undone.is_empty() {
            self.remove(&undone, Vec::new()).await;
        }
        for (one, answer) in ones.into_iter().zip(answers) {
            match failures.get(&one.endpoint.id()) {
                Some(refusal) => {
                    let (network, key) = (&one.endpoint.network, &one.endpoint.key);
                    warn!(%network, %key, reason = %refusal, "cannot attach");
                    reply(answer, Err(refusal.clone()));
                }
                None => self.welcome(&one, answer),
            }
        }
    }

    /// Those that can come now, written down; the others wait, or are refused.
    fn admit(
        &mut self,
        asked: Vec<(Box<Attach>, Answer<Attached>)>,
    ) -> Vec<(Coming, Answer<Attached>)> {
        let mut coming = Vec::new();
        let mut lines = Vec::new();
        for (attach, answer) in asked {
            match self.consider(&attach) {
                Ok(None) => {
                    let network = &attach.network;
                    let text =
                        format!("network {network} is not ready on this host yet; try again");
                    self.wait(attach, answer, Refusal::new(Reason::NotReady, text));
                }
                Ok(Some(one)) => {
                    if !one.again {
                        let line = Line::Attached(one.endpoint.clone());
                        // What one takes the next one must not get.
                        self.book.apply(line.clone());
                        lines.push(line);
                    }
                    coming.push((one, answer));
                }
                // A container that is gone holds what it had until it is not found twice.
                Err(refusal)
                    if matches!(refusal.reason, Reason::Taken | Reason::Exhausted)
                        && self.misses_one() =>
                {
                    self.looks.soon();
                    self.wait(attach, answer, refusal);
                }
                Err(refusal) => reply(answer, Err(refusal)),
            }
        }
        let Err(refusal) = self.write(&lines) else {
            return coming;
        };
        for (one, answer) in coming {
            if !one.again {
                self.book.apply(Line::Detached {
                    network: one.endpoint.network,
                    key: one.endpoint.key,
                    at: now(),
                });
            }
            reply(answer, Err(refusal.clone()));
        }
        Vec::new()
    }

    /// It is refused so if it cannot come before long.
    fn wait(&mut self, attach: Box<Attach>, answer: Answer<Attached>, refusal: Refusal) {
        let until = Instant::now() + PATIENCE;
        self.waiting.push(Waiting {
            refusal,
            attach,
            answer,
            until,
        });
    }

    /// The kernel has it.
    fn welcome(&mut self, one: &Coming, answer: Answer<Attached>) {
        let id = one.endpoint.id();
        self.failing.remove(&id);
        self.vanished.remove(&id);
        if !one.again {
            say(&one.endpoint);
        }
        let attached = self.attached(&one.endpoint, &one.ground, one.again);
        if one.told {
            self.answer_when_known(attached, answer);
        } else {
            reply(answer, Ok(attached));
        }
    }

    /// None: its network is not there yet.
    fn consider(&self, attach: &Attach) -> Result<Option<Coming>, Refusal> {
        let bad = |error: &dyn std::error::Error| Refusal::new(Reason::Bad, error.to_string());
        sandbox::check_interface(&attach.interface)?;
        attach.who.check().map_err(|error| bad(&error))?;
        for publish in &attach.publish {
            publish.check().map_err(|error| bad(&error))?;
        }
        self.check_carriers(&attach.publish)?;
        let network = &attach.network;
        if self.settings.lent.as_ref() == Some(network) {
            let text = format!(
                "flannel's plugin gives the addresses of network {network} on this host, as --subnet-env says; Weft would give the same ones"
            );
            return Err(Refusal::new(Reason::Bad, text));
        }
        let ground = match self.grounds.borrow().get(network) {
            None => {
                let text = format!("this host has not joined network {network}");
                return Err(Refusal::new(Reason::NotJoined, text));
            }
            Some(None) => return Ok(None),
            Some(Some(ground)) if !ground.up => return Ok(None),
            Some(Some(ground)) => ground.clone(),
        };
        // The kernel is about to lose the link of the last one with this key.
        let id = EndpointId::of(&attach.network, &attach.key);
        if self.going.contains(&id) {
            return Ok(None);
        }
        let found = if attach.hand {
            None
        } else {
            Some(sandbox::open(&attach.netns)?)
        };
        let ask = self.ask(attach, found.as_ref());
        self.check_unknown(id)?;
        let made = self.book.attach(&ask, &families(attach, &ground), now());
        let made = made.map_err(|refused| refusal(&refused))?;
        let again = made.is_none();
        let endpoint = made.or_else(|| self.book.endpoint(id).cloned());
        Ok(endpoint.map(|endpoint| Coming {
            endpoint,
            ground,
            found,
            again,
            told: attach.told,
        }))
    }

    /// A container that the book lacks may have any address.
    fn check_unknown(&self, id: EndpointId) -> Result<(), Refusal> {
        let is_safe = !self.book.is_torn() || self.book.endpoint(id).is_some();
        if is_safe {
            return Ok(());
        }
        let links = match self.unknown {
            Some(links) => format!("{links} links of unknown containers are there"),
            None => "it has not been seen yet which containers there are".into(),
        };
        let text = format!(
            "some of this host's list of endpoints could not be read, and {links}: end those containers, or remove their links by `weft ipam repair`"
        );
        Err(Refusal::new(Reason::NotReady, text))
    }

    fn ask(&self, attach: &Attach, found: Option<&Found>) -> Ask {
        Ask {
            network: attach.network.clone(),
            key: attach.key.clone(),
            addresses: attach.addresses.clone(),
            mac: attach.mac,
            form: self.form(&attach.network),
            sandbox: Sandbox {
                path: attach.netns.clone(),
                inode: found.map_or(0, |found| found.inode),
                born: found.map_or(0, |found| found.born),
                interface: attach.interface.clone(),
                handed: attach.hand,
            },
            who: attach.who.clone(),
            publish: attach.publish.clone(),
            bandwidth: attach.bandwidth,
        }
    }

    pub(super) fn bridge_answers_loopback(&self, network: &NetworkName) -> bool {
        let mut endpoints = self.book.endpoints();
        endpoints
            .any(|endpoint| endpoint.network == *network && answers_loopback(&endpoint.publish))
    }
}

/// An engine that sets its containers up gives them what it asked for, and no more.
fn families(attach: &Attach, ground: &Ground) -> Vec<Subnet> {
    let subnets = ground.subnets.iter().copied();
    let asked = |subnet: &Subnet| {
        let mut addresses = attach.addresses.iter();
        addresses.any(|address| Family::of(*address) == subnet.family())
    };
    subnets
        .filter(|subnet| !attach.hand || asked(subnet))
        .collect()
}

fn say(endpoint: &Endpoint) {
    let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
    info!(
        network = %endpoint.network,
        key = %endpoint.key,
        name = endpoint.who.name,
        addresses = addresses.join(","),
        "attached"
    );
}

pub(super) fn refusal(refused: &Refused) -> Refusal {
    let reason = match refused {
        Refused::Twice(..)
        | Refused::NoFamily(..)
        | Refused::Reserved(..)
        | Refused::BadMac(_)
        | Refused::PortsCollide(..) => Reason::Bad,
        Refused::NotOurs(..) => Reason::NotOurs,
        Refused::Taken(..)
        | Refused::Held(..)
        | Refused::MacTaken(..)
        | Refused::PortTaken(..)
        | Refused::Otherwise { .. } => Reason::Taken,
        Refused::Exhausted { .. } => Reason::Exhausted,
        Refused::NoSubnet(_) => Reason::NotReady,
    };
    Refusal::new(reason, refused.to_string())
}
