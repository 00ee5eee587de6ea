//! A container that a host's agent has attached: a namespace with what `weft attach`,
//! an engine or the socket gave it.

use std::{net::IpAddr, ops::Deref, time::Duration};

use anyhow::{Context, Result};
use socket::{
    Client,
    words::{Attach, Attached as Words, Detach, Shown},
};

use super::{Agent, Namespace};

/// Longer than an agent waits for a network to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Attached {
    namespace: Namespace,
    pub words: Words,
}

impl Attached {
    pub fn addresses(&self) -> &[IpAddr] {
        &self.words.endpoint.addresses
    }
}

impl Deref for Attached {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Agent {
    /// What this host's tools ask it by.
    pub fn client(&self) -> Client {
        Client::new(self.socket(), PATIENCE)
    }

    /// Attaches a new namespace to the network `default`.
    pub fn attached(&self, name: &str) -> Result<Attached> {
        self.attached_with(name, |_| {})
    }

    /// The same, with more asked for.
    pub fn attached_with(&self, name: &str, more: impl FnOnce(&mut Attach)) -> Result<Attached> {
        let namespace = Namespace::new(name.to_owned())?;
        let words = self.attach_words(&wish(&namespace, name, more)?)?;
        Ok(Attached { namespace, words })
    }

    pub fn attach_words(&self, attach: &Attach) -> Result<Words> {
        let attached = self.client().ask("POST", "/endpoints", Some(attach));
        attached.with_context(|| format!("attach {}", attach.key))
    }

    pub fn detach(&self, attached: &Attached) -> Result<()> {
        let endpoint = &attached.words.endpoint;
        let detach = Detach {
            network: endpoint.network.clone(),
            key: endpoint.key.clone(),
            seq: Some(endpoint.seq),
        };
        Ok(self.client().ask("DELETE", "/endpoints", Some(&detach))?)
    }

    pub fn endpoints(&self) -> Result<Vec<Shown>> {
        Ok(self.client().ask("GET", "/endpoints", None::<&()>)?)
    }
}

/// That a namespace be attached to the network `default`.
pub fn wish(namespace: &Namespace, name: &str, more: impl FnOnce(&mut Attach)) -> Result<Attach> {
    let mut attach = Attach {
        network: "default".parse()?,
        key: format!("test/{name}").parse()?,
        netns: format!("/proc/{}/ns/net", namespace.pid()),
        interface: "eth0".into(),
        addresses: Vec::new(),
        mac: None,
        who: Default::default(),
        publish: Vec::new(),
        bandwidth: Default::default(),
        hand: false,
        told: false,
    };
    more(&mut attach);
    Ok(attach)
}
