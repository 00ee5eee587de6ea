//! A controller's own record: that it is there, and what its clock says.

use super::{Decision, Refusal, View};
use crate::{
    key::Key,
    record::{self, Controller},
    txn::{Transaction, TtlId},
};

/// Writes this controller's record; it vanishes with the ttl.
pub fn announce(view: &View<'_>, record: &Controller, ttl: TtlId) -> Result<Decision<()>, Refusal> {
    let key = Key::Controller(view.ctl);
    let present = view.registry.controllers().get(&view.ctl);
    let mut txn = Transaction::default();
    txn.expect(key.clone(), present.map_or(0, |present| present.revision));
    let now = Controller {
        wall_ms: view.now,
        ..record.clone()
    };
    txn.put_with_ttl(key, record::encode(&now), ttl);
    view.decided(txn, ())
}
