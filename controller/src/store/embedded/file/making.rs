//! A new file: one at a time in its directory, and whole when it appears.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, chown},
    path::Path,
};

use rustix::process::geteuid;
use uuid::Uuid;

use super::{META, RECORDS, TTLS, database, format, name, open_error, write_record};
use crate::store::{
    embedded::{OpenError, state::Slot},
    whole::{Standing, Whole},
};

/// One at a time in its directory: what a crash left of a file can then be told from one
/// that is being made.
pub fn lock(path: &Path) -> Result<fs::File, OpenError> {
    let locked = fs::File::open(directory(path)).and_then(|lock| lock.lock().map(|()| lock));
    locked.map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Under another name first, so that the file is whole when it appears. It begins a history
/// of its own, whatever it holds.
pub fn make(
    path: &Path,
    whole: Option<&Whole>,
    standing: Option<&Standing>,
) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(".new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let file = private().open(&unfinished).map_err(io)?;
    fill(file, whole, standing).map_err(|error| open_error(path, error))?;
    if geteuid().is_root() {
        // Its controller need not be.
        let owner = fs::metadata(directory(path)).map_err(io)?;
        chown(&unfinished, Some(owner.uid()), Some(owner.gid())).map_err(io)?;
    }
    fs::rename(&unfinished, path).map_err(io)
}

fn fill(
    file: fs::File,
    whole: Option<&Whole>,
    standing: Option<&Standing>,
) -> Result<(), redb::Error> {
    let database = database(file)?;
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        meta.insert(name::FORMAT, format(standing).as_str())?;
        meta.insert(name::CLUSTER, Uuid::new_v4().to_string().as_str())?;
        // As in etcd the first write has revision 2: neither it nor the empty store
        // is confused with 0, which stands for absent.
        let revision = whole.map_or(1, |whole| whole.revision.max(1));
        meta.insert(name::REVISION, revision.to_string().as_str())?;
        meta.insert(name::LAST_TTL, "0")?;
        let mut records = txn.open_table(RECORDS)?;
        for record in whole.map(Whole::records).unwrap_or_default() {
            let key = str::from_utf8(&record.key).map_err(|_| {
                let key = record.key.escape_ascii();
                redb::Error::Io(io::Error::other(format!("its key {key} is no text")))
            })?;
            let slot = Slot {
                revision: record.revision,
                ttl: None,
            };
            write_record(&mut records, key, Some((slot, &record.value)))?;
        }
        txn.open_table(TTLS)?;
    }
    Ok(txn.commit()?)
}

pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// It names every node and address: nobody else's business.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options
}
