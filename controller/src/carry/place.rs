//! Where records are carried from or to, of either kind.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use super::disturbed;
use crate::store::{
    embedded::Offline,
    etcd::Etcd,
    whole::{Standing, Whole},
};

pub enum Place {
    /// Held alone, so that nothing else changes it.
    Embedded(Offline),
    /// Anybody may write to it: each step compares what it rests on.
    Etcd(Box<Etcd>),
}

impl Place {
    /// The same on every run of a command.
    pub async fn name(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Embedded(file) => {
                let path = std::path::absolute(file.path())?;
                format!("embedded {}", path.display())
            }
            Self::Etcd(etcd) => etcd.name().await?,
        })
    }

    pub async fn standing(&self) -> anyhow::Result<Option<Standing>> {
        Ok(match self {
            Self::Embedded(file) => file.standing()?,
            Self::Etcd(etcd) => etcd.standing().await?,
        })
    }

    /// All that it keeps; of a file that is not there, nothing.
    pub async fn whole(&self) -> anyhow::Result<Whole> {
        Ok(match self {
            Self::Embedded(file) => {
                let whole = file.whole()?;
                whole.unwrap_or_else(|| Whole::new(String::new(), 0, Vec::new()))
            }
            Self::Etcd(etcd) => etcd.whole().await?,
        })
    }

    /// Sees to it that no controller changes it from here on.
    pub async fn fence(&self, leaving: &Standing) -> anyhow::Result<()> {
        match self {
            Self::Embedded(file) => {
                ensure!(file.exists(), "there is no {}", file.path().display());
            }
            Self::Etcd(etcd) => {
                if !matches!(etcd.standing().await?, Some(Standing::Moved(_))) {
                    ensure!(etcd.fence(leaving).await?, in_use());
                }
            }
        }
        Ok(())
    }

    /// Has an empty place, or one that was begun like this, hold these records and be closed.
    /// A file from which all was moved elsewhere is as good as empty, and is kept beside.
    pub async fn fill(&mut self, whole: &Whole, arriving: &Standing) -> anyhow::Result<()> {
        let begun = self.standing().await?.as_ref() == Some(arriving);
        match self {
            Self::Embedded(file) => {
                let held = file.whole()?;
                let empty = held.is_none_or(|held| held.records().is_empty());
                let left = matches!(file.standing()?, Some(Standing::Moved(_)));
                if !begun && !empty && !left {
                    bail!(
                        "{} holds something; give an empty directory",
                        file.path().display()
                    );
                }
                let keep = left.then(|| before(file));
                file.put(whole, Some(arriving), keep.as_deref())?;
            }
            Self::Etcd(etcd) => {
                let begun = begun && etcd.clear(arriving).await?;
                if !begun && !etcd.begin(arriving).await? {
                    bail!(
                        "{} holds something; give an empty --etcd-prefix",
                        etcd.name().await?
                    );
                }
                ensure!(
                    etcd.fill(arriving, whole).await?,
                    disturbed(&etcd.name().await?)
                );
            }
        }
        let filled = self.whole().await?;
        ensure!(filled.is_like(whole), disturbed(&self.name().await?));
        Ok(())
    }

    /// Closes for good what was read.
    pub async fn retire(&self, moved: &Standing, read: &Whole) -> anyhow::Result<()> {
        match self {
            Self::Embedded(file) => file.stand(Some(moved))?,
            Self::Etcd(etcd) => {
                let unchanged = etcd.retire(moved, read).await?;
                ensure!(unchanged, disturbed(&etcd.name().await?));
            }
        }
        Ok(())
    }

    /// Opens for controllers what was filled.
    pub async fn finish(&self, whole: &Whole, arriving: &Standing) -> anyhow::Result<()> {
        match self {
            Self::Embedded(file) => file.stand(None)?,
            Self::Etcd(etcd) => {
                let filled = etcd.whole().await?;
                let done = filled.is_like(whole) && etcd.finish(arriving, &filled).await?;
                ensure!(done, disturbed(&etcd.name().await?));
            }
        }
        Ok(())
    }

    /// Has these records in place of whatever is here.
    pub async fn replace(&mut self, whole: &Whole, arriving: &Standing) -> anyhow::Result<()> {
        match self {
            Self::Embedded(file) => {
                let keep = before(file);
                file.put(whole, None, Some(&keep))?;
                Ok(())
            }
            Self::Etcd(etcd) => {
                ensure!(etcd.clear(arriving).await?, in_use());
                ensure!(
                    etcd.fill(arriving, whole).await?,
                    disturbed(&etcd.name().await?)
                );
                self.finish(whole, arriving)
                    .await
                    .context("after it was filled")
            }
        }
    }
}

impl From<Offline> for Place {
    fn from(file: Offline) -> Self {
        Self::Embedded(file)
    }
}

impl From<Etcd> for Place {
    fn from(etcd: Etcd) -> Self {
        Self::Etcd(Box::new(etcd))
    }
}

/// Where what is replaced stays.
fn before(file: &Offline) -> PathBuf {
    file.path().with_extension("redb.before")
}

fn in_use() -> String {
    "controllers run on that etcd: stop them all; one that was killed is forgotten after its --session-ttl".into()
}
