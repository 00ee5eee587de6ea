//! Claims that no lease stands behind: what is left when somebody deletes a lease's
//! record by hand, as after mending one that could not be read. A lease and its claims
//! are written and ended in one transaction, so nothing else leaves any.

use super::{Decision, Refusal, View, lease::unclaim};
use crate::{
    key::Key,
    name::NetworkName,
    record::Claim,
    registry::{Registry, Space, Stored},
    subnet::Subnet,
    txn::Transaction,
};

/// The stray claims of a network.
pub(super) fn claims<'a>(
    registry: &'a Registry,
    name: &'a NetworkName,
    space: &'a Space,
) -> impl Iterator<Item = Subnet> + 'a {
    let stray =
        move |(_, claim): &(&Subnet, &Stored<Claim>)| is_stray(registry, name, space, claim);
    space
        .claims()
        .iter()
        .filter(stray)
        .map(|(subnet, _)| *subnet)
}

/// Gives a stray claim's subnet back, or leaves it promised.
pub(super) fn drop_claim(
    view: &View<'_>,
    name: &NetworkName,
    subnet: Subnet,
) -> Result<Decision<()>, Refusal> {
    let space = view.registry.space(name).ok_or(Refusal::NothingToDo)?;
    let claim = space.claims().get(&subnet).ok_or(Refusal::NothingToDo)?;
    if !is_stray(view.registry, name, space, claim) {
        return Err(Refusal::NothingToDo);
    }
    let node = &claim.value.node;
    let lease = space.leases().get(node).map_or(0, |lease| lease.revision);
    let mut txn = Transaction::default();
    txn.expect(Key::Lease(name.clone(), node.clone()), lease);
    unclaim(view, &mut txn, name, subnet, claim);
    view.decided(txn, ())
}

fn is_stray(registry: &Registry, name: &NetworkName, space: &Space, claim: &Stored<Claim>) -> bool {
    let Some(life) = claim.value.life else {
        return false;
    };
    let node = &claim.value.node;
    let lives = space
        .leases()
        .get(node)
        .is_some_and(|lease| lease.value.life == life);
    // A lease that cannot be read may still be the one that uses it.
    !lives && !registry.is_set_aside(&Key::Lease(name.clone(), node.clone()))
}
