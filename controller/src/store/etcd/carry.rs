//! All of it at once: read for a backup, closed while its records go elsewhere, and filled
//! with those of another store. How it stands is a record of its own, which controllers heed.

use etcd_client::{Compare, CompareOp, DeleteOptions, Txn, TxnOp};

use super::{Entry, Etcd, signed, unsigned};
use crate::store::{
    StoreError,
    whole::{Record, Standing, Whole},
};

/// The key that says how it stands; absent: it is there for controllers.
pub const STANDING: &str = "standing";
/// Controllers that run have a record here.
const CONTROLLERS: &str = "ctl/";
/// What one transaction may write: below etcd's own limits, 128 operations and 1.5 MiB.
const MOST_RECORDS: usize = 100;
const MOST_BYTES: usize = 512 * 1024;

/// Refuses to serve controllers what is not meant for them now.
pub fn check_open(entries: &[Entry]) -> Result<(), StoreError> {
    match entries.iter().find(|entry| entry.key == STANDING) {
        None => Ok(()),
        Some(entry) => Err(StoreError::Unavailable {
            what: "a load",
            reason: match serde_json::from_slice::<Standing>(&entry.value) {
                Ok(standing) => format!("it is closed: {standing}"),
                Err(error) => format!("its record {STANDING} cannot be read: {error}"),
            },
        }),
    }
}

impl Etcd {
    /// Names what is below the prefix, whatever way leads there.
    pub async fn name(&self) -> Result<String, StoreError> {
        let all = self.all("a read of its name").await?;
        let root = self.prefix.root();
        Ok(format!("etcd {:x}, keys below {root}", all.cluster))
    }

    pub async fn whole(&self) -> Result<Whole, StoreError> {
        let all = self.all("a read of all it holds").await?;
        let kept = all.records.into_iter().filter(|record| record.lease() == 0);
        let records = kept.filter_map(|record| {
            let key = self.prefix.below(record.key())?.to_vec();
            let revision = unsigned(record.mod_revision());
            let (_, value) = record.into_key_value();
            (key != STANDING.as_bytes()).then_some(Record {
                key,
                value,
                revision,
            })
        });
        let cluster = format!("{:x}", all.cluster);
        Ok(Whole::new(cluster, all.revision, records.collect()))
    }

    pub async fn standing(&self) -> Result<Option<Standing>, StoreError> {
        let what = "a read of how it stands";
        let key = self.prefix.join(&STANDING);
        let answer = self
            .connection
            .call(what, async |client| client.kv_client().get(key, None).await)
            .await?;
        let Some(record) = answer.kvs().first() else {
            return Ok(None);
        };
        let standing = serde_json::from_slice(record.value());
        standing.map(Some).map_err(|error| StoreError::Refused {
            what,
            reason: format!("its record {STANDING} cannot be read: {error}"),
        })
    }

    /// Closes it for controllers, unless one runs on it.
    pub async fn fence(&self, standing: &Standing) -> Result<bool, StoreError> {
        let put = self.stand(standing);
        self.transact(vec![self.no_controllers()], vec![put]).await
    }

    /// The same once more, if nothing was written since it was read.
    pub async fn retire(&self, standing: &Standing, read: &Whole) -> Result<bool, StoreError> {
        let put = self.stand(standing);
        let compares = self.unwritten_since(read).to_vec();
        self.transact(compares, vec![put]).await
    }

    /// Closes it to be filled, if there is nothing below the prefix.
    pub async fn begin(&self, standing: &Standing) -> Result<bool, StoreError> {
        let root = self.prefix.root();
        let nothing =
            Compare::create_revision(root, CompareOp::Equal, 0).with_range(self.prefix.end());
        self.transact(vec![nothing], vec![self.stand(standing)])
            .await
    }

    /// Removes everything but how it stands, which is set, unless a controller runs on it.
    pub async fn clear(&self, standing: &Standing) -> Result<bool, StoreError> {
        let deletes = self
            .around()
            .map(|(from, end)| TxnOp::delete(from, Some(DeleteOptions::new().with_range(end))));
        let mut ops = deletes.to_vec();
        ops.push(self.stand(standing));
        self.transact(vec![self.no_controllers()], ops).await
    }

    /// Writes them in their order, while it stands like this.
    pub async fn fill(&self, standing: &Standing, whole: &Whole) -> Result<bool, StoreError> {
        for part in parts(whole.records()) {
            let puts = part.iter().map(|record| {
                let key = [self.prefix.root().as_bytes(), &record.key].concat();
                TxnOp::put(key, record.value.clone(), None)
            });
            let puts = puts.collect();
            if !self.transact(vec![self.stands(standing)], puts).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens it for controllers, if nothing was written since it was read.
    pub async fn finish(&self, standing: &Standing, read: &Whole) -> Result<bool, StoreError> {
        let mut compares = self.unwritten_since(read).to_vec();
        compares.push(self.stands(standing));
        let open = TxnOp::delete(self.prefix.join(&STANDING), None);
        self.transact(compares, vec![open]).await
    }

    fn stand(&self, standing: &Standing) -> TxnOp {
        TxnOp::put(self.prefix.join(&STANDING), json(standing), None)
    }

    fn stands(&self, standing: &Standing) -> Compare {
        Compare::value(
            self.prefix.join(&STANDING),
            CompareOp::Equal,
            json(standing),
        )
    }

    fn no_controllers(&self) -> Compare {
        let key = self.prefix.join(&CONTROLLERS);
        Compare::create_revision(key, CompareOp::Equal, 0).with_prefix()
    }

    fn unwritten_since(&self, read: &Whole) -> [Compare; 2] {
        let next = signed(read.revision.saturating_add(1));
        self.around()
            .map(|(from, end)| Compare::mod_revision(from, CompareOp::Less, next).with_range(end))
    }

    /// All keys but the one that says how it stands.
    fn around(&self) -> [(String, String); 2] {
        let standing = self.prefix.join(&STANDING);
        let after = format!("{standing}\0");
        [
            (self.prefix.root().to_owned(), standing),
            (after, self.prefix.end()),
        ]
    }

    async fn transact(&self, compares: Vec<Compare>, ops: Vec<TxnOp>) -> Result<bool, StoreError> {
        let txn = Txn::new().when(compares).and_then(ops);
        let answer = self
            .connection
            .call("a commit", async |client| client.kv_client().txn(txn).await)
            .await?;
        Ok(answer.succeeded())
    }
}

/// As few transactions as keep the order that counts.
fn parts(records: &[Record]) -> Vec<&[Record]> {
    let mut parts = Vec::new();
    let (mut first, mut bytes, mut queued) = (0, 0, None);
    for (index, record) in records.iter().enumerate() {
        let size = record.key.len() + record.value.len();
        let later = record.is_queued() && queued.is_some_and(|at| at != record.revision);
        if index - first == MOST_RECORDS || bytes + size > MOST_BYTES || later {
            parts.push(&records[first..index]);
            (first, bytes, queued) = (index, 0, None);
        }
        bytes += size;
        if record.is_queued() {
            queued = Some(record.revision);
        }
    }
    parts.push(&records[first..]);
    parts.retain(|part: &&[Record]| !part.is_empty());
    parts
}

fn json(standing: &Standing) -> Vec<u8> {
    serde_json::to_vec(standing).expect("how a store stands is a name and a string")
}
