//! The file of the embedded store is its controller's alone, so a backup is made by the
//! controller while it runs: through a socket in its data directory, which serves whoever
//! may read the file as well, root and the controller's own user.

use std::{
    fs, io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::geteuid;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::text;
use crate::store::{
    Store,
    embedded::{Embedded, OpenError},
};

const SOCKET: &str = "backup.sock";
/// How long a reader may take for all of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an answer that is no backup begins with.
const REFUSED: &str = "refused: ";

#[derive(Debug, Error)]
#[error("cannot {what} {}", path.display())]
pub struct DoorError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

pub struct Door {
    listener: UnixListener,
    /// A socket's path is short; through its directory's descriptor it always is.
    _directory: fs::File,
}

/// Does a controller use the file, so that this door is the way?
pub fn is_served(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}

impl Door {
    /// Where the store is this process's alone, a socket that is there is a dead one's.
    pub fn open(data_dir: &Path) -> Result<Self, DoorError> {
        let path = data_dir.join(SOCKET);
        let failed = |what| {
            let path = path.clone();
            move |source| DoorError { what, path, source }
        };
        let directory = open_directory(data_dir).map_err(failed("open the directory of"))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove")(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(through(&directory)).map_err(failed("listen on"))?;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, mode).map_err(failed("close to others"))?;
        Ok(Self {
            listener,
            _directory: directory,
        })
    }

    /// One after the other.
    pub async fn serve(self, store: Arc<Embedded>, stop: CancellationToken) {
        let serving = async {
            loop {
                let served = match self.listener.accept().await {
                    Ok((stream, _)) => timeout(PATIENCE, answer(stream, &store)).await,
                    Err(error) => Ok(Err(error)),
                };
                match served {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => warn!(%error, "a backup was not given out"),
                    Err(_) => warn!("a backup was not taken in time"),
                }
            }
        };
        stop.run_until_cancelled(serving).await;
    }
}

/// A backup of the store that a controller has open.
pub async fn fetch(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join(SOCKET);
    let asked = async {
        let directory = open_directory(data_dir)?;
        let mut stream = UnixStream::connect(through(&directory)).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok::<_, io::Error>(text)
    };
    let text = timeout(PATIENCE, asked)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
        .flatten()
        .with_context(|| {
            format!(
                "cannot have a backup from the controller at {}",
                path.display()
            )
        })?;
    if let Some(reason) = text.strip_prefix(REFUSED) {
        bail!(
            "the controller at {} gives no backup: {reason}",
            path.display()
        );
    }
    Ok(text)
}

async fn answer(mut stream: UnixStream, store: &Embedded) -> io::Result<()> {
    let asks = stream.peer_cred()?.uid();
    let answer = if asks != 0 && asks != geteuid().as_raw() {
        format!("{REFUSED}user {asks} is neither root nor the controller's own")
    } else {
        match store.whole().await {
            Ok(whole) => text(&store.describe(), &whole),
            Err(error) => format!("{REFUSED}{error}"),
        }
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn open_directory(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

fn through(directory: &fs::File) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()).into()
}
