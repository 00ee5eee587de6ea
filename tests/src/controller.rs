//! A real weft-controller for one test: its own directory and ports, and everything
//! that can happen to it.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

pub use crate::process::Said;
use crate::{
    daemon::Daemon,
    etcd::Etcd,
    lab::{Namespace, Place},
    port::Port,
    process::{self, said},
    trusted::Trusted,
};

#[derive(Debug)]
pub struct Controller {
    // Dropped first: what it writes to is in the directory.
    daemon: Daemon,
    directory: TempDir,
    listen: SocketAddr,
    ops: SocketAddr,
    store: Vec<OsString>,
    /// Of the operator as whom `weft` asks; with them it speaks TLS.
    credentials: Option<PathBuf>,
    /// Nobody else is given them.
    _held: Vec<Port>,
}

/// Where it keeps its leases.
#[derive(Clone, Copy)]
pub enum Store<'a> {
    Embedded,
    Etcd(&'a Etcd),
}

impl Controller {
    /// On the embedded store in a directory of its own; ready.
    pub fn embedded(flags: &[&str]) -> Result<Self> {
        Self::here(Store::Embedded, flags)
    }

    /// On an etcd, beside any number of others; ready.
    pub fn etcd(etcd: &Etcd, flags: &[&str]) -> Result<Self> {
        Self::here(Store::Etcd(etcd), flags)
    }

    /// In a namespace, at its address there, for anybody who comes; ready.
    pub fn within(
        namespace: &Namespace,
        address: IpAddr,
        store: Store<'_>,
        flags: &[&str],
    ) -> Result<Self> {
        let place = Place::In(namespace.clone());
        let listen = SocketAddr::new(address, 7440);
        let ops = SocketAddr::new(address, 7441);
        let flags = [&["--insecure"], flags].concat();
        let mut controller = Self::prepare(place, listen, ops, store, None, &flags)?;
        controller.start()?;
        Ok(controller)
    }

    /// The same for those who have a certificate.
    pub fn trusted(
        namespace: &Namespace,
        address: IpAddr,
        store: Store<'_>,
        trusted: &Trusted,
        flags: &[&str],
    ) -> Result<Self> {
        let place = Place::In(namespace.clone());
        let listen = SocketAddr::new(address, 7440);
        let ops = SocketAddr::new(address, 7441);
        let flags = [&["--insecure-ops"], flags].concat();
        let controller = Self::prepare(place, listen, ops, store, Some(trusted), &flags)?;
        controller.initialized(trusted)
    }

    /// The same one, on what it keeps, for those who have a certificate.
    pub fn certified(mut self, trusted: &Trusted, flags: &[&str]) -> Result<Self> {
        self.daemon.kill()?;
        self.daemon.hush();
        let flags = [&["--insecure-ops"], flags].concat();
        let ground = (self.directory, self.listen, self.ops);
        let place = self.daemon.place().clone();
        let controller = Self::on(ground, place, self.store, Some(trusted), &flags);
        controller.initialized(trusted)
    }

    /// Started; the first of a fleet has made its authority, and an operator logged in.
    fn initialized(mut self, trusted: &Trusted) -> Result<Self> {
        let first = !trusted.admin().exists();
        let token = first.then(|| trusted.init(self.daemon.place(), &self.store));
        let token = token.transpose()?;
        self.start()?;
        if let Some(token) = token {
            let said = self.weft(&["login", "--token", &token])?;
            ensure!(said.code == 0, "{said:?}");
        }
        Ok(self)
    }

    pub fn url(&self) -> Result<String> {
        let scheme = match self.credentials {
            Some(_) => "https",
            None => "http",
        };
        Ok(format!("{scheme}://{}", self.listen))
    }

    /// As whom `weft` asks.
    pub fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }

    /// A connection that comes back when the controller does.
    pub fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(self.url()?)?.connect_timeout(Duration::from_secs(2));
        Ok(endpoint.connect_lazy())
    }

    pub fn ops_address(&self) -> Result<SocketAddr> {
        Ok(self.ops)
    }

    /// What `weft` says, asking this controller.
    pub fn weft(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.place().command(process::weft("weft")?);
        command.args(arguments).env("WEFT_CONTROLLER", self.url()?);
        if let Some(credentials) = &self.credentials {
            command.env("WEFT_CREDENTIALS", credentials);
        }
        said(command)
    }

    /// The same as JSON, of a command that must be done.
    pub fn weft_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let said = self.weft(&[arguments, &["-o", "json"]].concat())?;
        ensure!(said.code == 0, "weft {arguments:?}: {said:?}");
        serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn here(store: Store<'_>, flags: &[&str]) -> Result<Self> {
        let (listen, ops) = (Port::reserve()?, Port::reserve()?);
        let (at, ops_at) = (listen.address()?, ops.address()?);
        let mut controller = Self::prepare(Place::Here, at, ops_at, store, None, flags)?;
        controller._held = vec![listen, ops];
        controller.start()?;
        Ok(controller)
    }

    fn prepare(
        place: Place,
        listen: SocketAddr,
        ops: SocketAddr,
        store: Store<'_>,
        trusted: Option<&Trusted>,
        flags: &[&str],
    ) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("weft-controller-")
            .tempdir()?;
        let mut kept: Vec<OsString> = Vec::new();
        let data = directory.path().join("data");
        kept.extend(["--data-dir".into(), data.into()]);
        match store {
            Store::Embedded => {}
            Store::Etcd(etcd) => {
                let store = ["--store", "etcd", "--etcd-endpoints", &etcd.endpoint()];
                kept.extend(store.map(OsString::from));
                kept.extend(trusted.map(Trusted::to_etcd).unwrap_or_default());
            }
        }
        Ok(Self::on(
            (directory, listen, ops),
            place,
            kept,
            trusted,
            flags,
        ))
    }

    fn on(
        (directory, listen, ops): (TempDir, SocketAddr, SocketAddr),
        place: Place,
        store: Vec<OsString>,
        trusted: Option<&Trusted>,
        flags: &[&str],
    ) -> Self {
        let mut arguments: Vec<OsString> = Vec::new();
        arguments.extend(["--listen".into(), listen.to_string().into()]);
        arguments.extend(["--ops-listen".into(), ops.to_string().into()]);
        arguments.extend(flags.iter().map(OsString::from));
        if let Some(trusted) = trusted {
            arguments.extend_from_slice(trusted.flags());
        }
        arguments.extend(store.clone());
        let log = directory.path().join("log");
        Self {
            daemon: Daemon::new("weft-controller", place, arguments, ops, log),
            directory,
            listen,
            ops,
            store,
            credentials: trusted.map(Trusted::admin),
            _held: Vec::new(),
        }
    }
}

impl Deref for Controller {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for Controller {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

/// Runs a controller that is not expected to stay, on free ports.
pub fn refused(arguments: &[&str]) -> Result<Said> {
    let ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    run(&[&ports[..], arguments].concat())
}

/// Runs a controller to its end.
pub fn run(arguments: &[&str]) -> Result<Said> {
    let mut command = process::mortal(process::weft("weft-controller")?);
    command.args(arguments);
    said(command)
}
