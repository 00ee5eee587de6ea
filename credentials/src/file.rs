//! The key and certificate of one machine or operator, in one file that only its owner
//! can read.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use overlay::{
    record::V1,
    time::WallMs,
    trust::{Subject, subject::SubjectError},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum CredentialsError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged; join again with a token", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} may be read by others than its owner: chmod 600 it", path.display())]
    Open { path: PathBuf },
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub v: V1,
    #[serde(with = "subject")]
    pub subject: Subject,
    /// PEM, like the two after it.
    pub key: String,
    pub certificate: String,
    pub authority: String,
    /// By the controller's clock.
    pub issued_at: WallMs,
    pub expires_at: WallMs,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {}", self.subject)
    }
}

impl Credentials {
    /// Those in this file, if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| CredentialsError::Damaged {
            path: path.into(),
            source,
        })
    }

    /// There is always a whole one. The key that was kept for asking is in it now.
    pub fn write(&self, path: &Path) -> Result<(), CredentialsError> {
        let bytes = serde_json::to_vec(self).expect("it holds only strings and numbers");
        write(path, &bytes)?;
        forget_key(path)
    }

    /// At two thirds of its time a certificate is renewed.
    pub fn renew_at(&self) -> WallMs {
        let life = self.expires_at.since(self.issued_at);
        self.issued_at.after(life * 2 / 3)
    }

    pub fn life(&self) -> Duration {
        self.expires_at.since(self.issued_at)
    }
}

/// The key for which a certificate is being asked for, kept until there is one: who asks
/// again after an answer was lost must ask for the same.
pub(crate) fn kept_key(path: &Path) -> Result<Option<String>, CredentialsError> {
    let key = read(&key_file(path))?;
    Ok(key.map(|key| String::from_utf8_lossy(&key).into_owned()))
}

pub(crate) fn keep_key(path: &Path, key: &str) -> Result<(), CredentialsError> {
    write(&key_file(path), key.as_bytes())
}

fn forget_key(path: &Path) -> Result<(), CredentialsError> {
    let file = key_file(path);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &file)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where the key is that is kept for asking.
pub fn key_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// A file that only its owner can read, if there is one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CredentialsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mode = fs::metadata(path).map_err(failed("read", path))?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(CredentialsError::Open { path: path.into() });
    }
    Ok(Some(bytes))
}

/// Beside the old file first, then in its place.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CredentialsError> {
    let write = || {
        let named = path.parent().filter(|named| !named.as_os_str().is_empty());
        let directory = named.unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(failed("write", path))
}

fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> CredentialsError + 'a {
    move |source| CredentialsError::Io {
        what,
        path: path.into(),
        source,
    }
}

mod subject {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Subject, SubjectError};

    pub fn serialize<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(subject)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Subject, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: SubjectError| D::Error::custom(error))
    }
}
