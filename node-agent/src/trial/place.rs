//! Where a trial is: in a network namespace of its own, or on the host.

use std::{
    fs::{self, File},
    io,
    net::IpAddr,
    os::{fd::AsFd, unix::fs::MetadataExt},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use overlay::{
    endpoint::{Key, Who},
    name::NetworkName,
    trial::TrialId,
};
use socket::words::{Attach, Detach, Reason, Refusal};

use crate::{
    endpoints::Door,
    kernel::inside::{InsideError, enter},
    status::NetworkStatus,
};

/// A process is another's namespace only a moment after it was started.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(2);

pub struct Place {
    pub addresses: Vec<IpAddr>,
    pub mtu: u32,
    /// None: the host.
    sandbox: Option<Sandbox>,
}

struct Sandbox {
    _holder: Holder,
    file: File,
    network: NetworkName,
    key: Key,
}

/// The process that holds the namespace. It ends by itself, should nobody end it.
struct Holder(Child);

impl Place {
    pub async fn endpoint(
        door: &Door,
        id: TrialId,
        network: &NetworkName,
        life: Duration,
    ) -> Result<Self, Refusal> {
        let kernel = |text: String| Refusal::new(Reason::Kernel, text);
        let held = tokio::task::spawn_blocking(move || Holder::start(life)).await;
        let held = held.map_err(|error| kernel(error.to_string()))?;
        let (holder, file) =
            held.map_err(|error| kernel(format!("cannot make a network namespace: {error}")))?;
        let key: Key = format!("trial/{id}")
            .parse()
            .map_err(|error| kernel(format!("{error}")))?;
        let attached = door
            .attach(Attach {
                network: network.clone(),
                key: key.clone(),
                netns: holder.namespace(),
                interface: "eth0".into(),
                addresses: Vec::new(),
                mac: None,
                who: Who {
                    name: Some(format!("trial-{id}")),
                    ..Who::default()
                },
                publish: Vec::new(),
                bandwidth: Default::default(),
                hand: false,
                told: false,
            })
            .await?;
        Ok(Self {
            addresses: attached.endpoint.addresses,
            mtu: attached.mtu,
            sandbox: Some(Sandbox {
                _holder: holder,
                file,
                network: network.clone(),
                key,
            }),
        })
    }

    pub fn host(network: &NetworkStatus) -> Result<Self, Refusal> {
        let known = network.underlay.zip(network.mtu);
        let (underlay, mtu) = known.ok_or_else(|| {
            let text = format!("network {} is not up on this host yet", network.network);
            Refusal::new(Reason::NotReady, text)
        })?;
        Ok(Self {
            addresses: vec![underlay],
            mtu,
            sandbox: None,
        })
    }

    /// Does it there; sockets that it opens stay there.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.sandbox {
            None => act(),
            Some(sandbox) => enter(sandbox.file.as_fd(), || Ok(act()))
                .map_err(|error: InsideError| io::Error::other(options::sentence(&error)))?,
        }
    }

    pub async fn leave(&self, door: &Door) {
        let Some(sandbox) = &self.sandbox else { return };
        let detach = Detach {
            network: sandbox.network.clone(),
            key: sandbox.key.clone(),
            seq: None,
        };
        // One that fails is ended by the next look: its namespace is gone.
        let _ = door.detach(detach).await;
    }
}

impl Holder {
    fn start(life: Duration) -> io::Result<(Self, File)> {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "sleep", &life.as_secs().max(1).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("unshare: {error}")))?;
        let mut holder = Self(child);
        let own = fs::metadata("/proc/thread-self/ns/net")?.ino();
        let began = Instant::now();
        loop {
            if let Some(ended) = holder.0.try_wait()? {
                return Err(io::Error::other(format!("unshare ended with {ended}")));
            }
            let file = File::open(holder.namespace())?;
            if file.metadata()?.ino() != own {
                return Ok((holder, file));
            }
            if began.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(AGAIN);
        }
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
