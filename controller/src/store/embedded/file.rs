//! The file: three tables of one redb database.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

use overlay::txn::{Revision, TtlId};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, Table,
    TableDefinition,
};
use tracing::warn;

use super::{OpenError, state::Slot};
use crate::store::{
    Entry, Loaded,
    whole::{Record, Standing, Whole},
};

use making::directory;
pub use making::{lock, make};

mod making;

/// A store that controllers may not use says after it how it stands.
pub const FORMAT: &str = "1";

/// Text by name, see [`name`].
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
/// Revision and ttl (0: none), eight bytes each, then the value as it came.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// How long each ttl lasts, in milliseconds.
const TTLS: TableDefinition<'_, i64, u64> = TableDefinition::new("ttls");

const HEADER: usize = 16;
/// The controller holds all records anyway; this is for the pages above them.
const CACHE_BYTES: usize = 64 << 20;

mod name {
    pub const FORMAT: &str = "format";
    pub const CLUSTER: &str = "cluster";
    pub const REVISION: &str = "revision";
    pub const LAST_TTL: &str = "last_ttl";
}

#[derive(Debug)]
pub struct File {
    database: Database,
}

/// What a file held when it was opened, without the values.
#[derive(Debug)]
pub struct Contents {
    pub revision: Revision,
    pub slots: HashMap<Box<str>, Slot>,
    pub ttls: Vec<(TtlId, Duration)>,
    /// No ttl id is ever given twice, or a dead one would live again.
    pub last_ttl: TtlId,
}

/// One durable write.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    pub revision: Revision,
    /// Each key once, in order: the tree is filled from left to right.
    pub records: BTreeMap<&'a str, Option<(Slot, &'a [u8])>>,
    pub granted: &'a [(TtlId, Duration)],
    pub ended: &'a [TtlId],
}

/// The file as it was at one moment, whatever is written meanwhile.
pub struct Snapshot(ReadTransaction);

impl File {
    /// Makes it if there is none.
    pub fn open(path: &Path) -> Result<(Self, Contents), OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(directory(path)).map_err(io)?;
        let lock = lock(path)?;
        if !path.try_exists().map_err(io)? {
            make(path, None, None)?;
            lock.sync_all().map_err(io)?;
        }
        Self::reopen(path)
    }

    /// One that vanished is an error: an empty one in its place would be obeyed.
    pub fn reopen(path: &Path) -> Result<(Self, Contents), OpenError> {
        let file = Self::attach(path)?;
        if let Some(standing) = file.standing(path)? {
            return Err(OpenError::Closed {
                path: path.to_owned(),
                standing,
            });
        }
        let contents = file.snapshot().and_then(Snapshot::contents);
        let contents = contents.map_err(|error| open_error(path, error))?;
        Ok((file, contents))
    }

    /// Whether controllers may use it or not.
    pub fn attach(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let damaged = |error: redb::Error| open_error(path, error);
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            // redb would take it for a new one, but ours are never empty.
            return Err(damaged(redb::Error::Corrupted("the file is empty".into())));
        }
        Ok(Self {
            database: verified(file).map_err(damaged)?,
        })
    }

    /// None: it is there for controllers.
    pub fn standing(&self, path: &Path) -> Result<Option<Standing>, OpenError> {
        let found = self
            .snapshot()
            .and_then(|snapshot| snapshot.text(name::FORMAT))
            .map_err(|error| open_error(path, error))?;
        if found == FORMAT {
            return Ok(None);
        }
        let standing = found.strip_prefix(FORMAT).map(serde_json::from_str);
        match standing {
            Some(Ok(standing)) => Ok(Some(standing)),
            _ => Err(OpenError::Format {
                path: path.to_owned(),
                found,
            }),
        }
    }

    /// On disk when it returns.
    pub fn stand(&self, standing: Option<&Standing>) -> Result<(), redb::Error> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let mut meta = txn.open_table(META)?;
        meta.insert(name::FORMAT, format(standing).as_str())?;
        drop(meta);
        Ok(txn.commit()?)
    }

    /// On disk when it returns.
    pub fn write(&self, changes: &Changes<'_>) -> Result<(), redb::Error> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let revision = changes.revision.to_string();
        {
            let mut records = txn.open_table(RECORDS)?;
            for (key, change) in &changes.records {
                write_record(&mut records, key, *change)?;
            }
            let mut meta = txn.open_table(META)?;
            meta.insert(name::REVISION, revision.as_str())?;
            let mut ttls = txn.open_table(TTLS)?;
            for (id, ttl) in changes.granted {
                let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                ttls.insert(id.0, millis)?;
                meta.insert(name::LAST_TTL, id.0.to_string().as_str())?;
            }
            for id in changes.ended {
                ttls.remove(id.0)?;
            }
        }
        Ok(txn.commit()?)
    }

    pub fn snapshot(&self) -> Result<Snapshot, redb::Error> {
        Ok(Snapshot(self.database.begin_read()?))
    }
}

impl Snapshot {
    pub fn load(self) -> Result<Loaded, redb::Error> {
        let mut entries = Vec::new();
        for record in self.0.open_table(RECORDS)?.iter()? {
            let (key, record) = record?;
            let (slot, value) = read_record(key.value(), record.value())?;
            entries.push(Entry {
                key: key.value().to_owned(),
                value: value.to_vec(),
                revision: slot.revision,
            });
        }
        Ok(Loaded {
            cluster: self.text(name::CLUSTER)?,
            revision: self.number(name::REVISION)?,
            entries,
        })
    }

    pub fn whole(self) -> Result<Whole, redb::Error> {
        let mut records = Vec::new();
        for record in self.0.open_table(RECORDS)?.iter()? {
            let (key, record) = record?;
            let (slot, value) = read_record(key.value(), record.value())?;
            if slot.ttl.is_none() {
                records.push(Record {
                    key: key.value().into(),
                    value: value.to_vec(),
                    revision: slot.revision,
                });
            }
        }
        let revision = self.number(name::REVISION)?;
        Ok(Whole::new(self.text(name::CLUSTER)?, revision, records))
    }

    fn contents(self) -> Result<Contents, redb::Error> {
        let mut slots = HashMap::new();
        for record in self.0.open_table(RECORDS)?.iter()? {
            let (key, record) = record?;
            let (slot, _) = read_record(key.value(), record.value())?;
            slots.insert(key.value().into(), slot);
        }
        let mut ttls = Vec::new();
        for ttl in self.0.open_table(TTLS)?.iter()? {
            let (id, millis) = ttl?;
            ttls.push((TtlId(id.value()), Duration::from_millis(millis.value())));
        }
        Ok(Contents {
            revision: self.number(name::REVISION)?,
            slots,
            ttls,
            last_ttl: TtlId(self.number(name::LAST_TTL)?),
        })
    }

    fn text(&self, name: &str) -> Result<String, redb::Error> {
        let table = self.0.open_table(META)?;
        let text = table.get(name)?;
        text.map(|text| text.value().to_owned())
            .ok_or_else(|| redb::Error::Corrupted(format!("it has no {name}")))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, redb::Error> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| redb::Error::Corrupted(format!("{name} is {text:?}")))
    }
}

fn format(standing: Option<&Standing>) -> String {
    let standing = standing.map(|standing| {
        serde_json::to_string(standing).expect("how a store stands is a name and a string")
    });
    format!("{FORMAT}{}", standing.unwrap_or_default())
}

fn database(file: fs::File) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_file(file)?)
}

/// After a clean shutdown redb trusts what it reads, and a page that somebody has
/// overwritten since makes it panic. All checksums are compared once instead: 0.1 s
/// for 100,000 records.
fn verified(file: fs::File) -> Result<Database, redb::Error> {
    let verify = || {
        let mut database = database(file)?;
        if !database.check_integrity()? {
            warn!("the store's map of free pages was wrong and was made anew");
        }
        Ok(database)
    };
    catch_unwind(AssertUnwindSafe(verify))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("its pages make no sense".into())))
}

pub fn open_error(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse { path },
        redb::Error::Io(source) if !is_damage(&source) => OpenError::Io { path, source },
        source => OpenError::Damaged { path, source },
    }
}

/// What is read is not what was written, or ends before it.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

fn write_record(
    records: &mut Table<'_, &str, &[u8]>,
    key: &str,
    change: Option<(Slot, &[u8])>,
) -> Result<(), StorageError> {
    let Some((slot, value)) = change else {
        records.remove(key)?;
        return Ok(());
    };
    let mut room = records.insert_reserve(key, HEADER + value.len())?;
    let room = room.as_mut();
    room[..8].copy_from_slice(&slot.revision.to_be_bytes());
    room[8..HEADER].copy_from_slice(&slot.ttl.map_or(0, |ttl| ttl.0).to_be_bytes());
    room[HEADER..].copy_from_slice(value);
    Ok(())
}

fn read_record<'a>(key: &str, record: &'a [u8]) -> Result<(Slot, &'a [u8]), redb::Error> {
    let short = || redb::Error::Corrupted(format!("the record {key} is cut short"));
    let (revision, rest) = record.split_first_chunk().ok_or_else(short)?;
    let (ttl, value) = rest.split_first_chunk().ok_or_else(short)?;
    let ttl = i64::from_be_bytes(*ttl);
    let slot = Slot {
        revision: u64::from_be_bytes(*revision),
        ttl: (ttl != 0).then_some(TtlId(ttl)),
    };
    Ok((slot, value))
}
