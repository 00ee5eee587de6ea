//! An endpoint's record: what its node says of it, under the lease that it belongs to.

use serde::{Deserialize, Serialize};

use super::{RecordError, V1, read};
use crate::{endpoint::Public, id::Life};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub v: V1,
    /// The life of the lease that its addresses are of; with that it ends.
    pub life: Life,
    #[serde(flatten)]
    pub public: Public,
}

impl Endpoint {
    /// The endpoint that these bytes hold, within the bounds that all keep to.
    pub fn read(value: &[u8]) -> Result<Self, RecordError> {
        let record: Self = read(value)?;
        let fits = record.public.check();
        fits.map_err(|error| RecordError(error.to_string()))?;
        Ok(record)
    }
}
