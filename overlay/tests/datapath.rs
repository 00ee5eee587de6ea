//! The data path against a kernel that is only a value: what a host's plans and changes
//! make of whatever they find there.

#[path = "datapath/doubt.rs"]
mod doubt;
#[path = "datapath/echo.rs"]
mod echo;
#[path = "datapath/failures.rs"]
mod failures;
#[path = "datapath/foreign.rs"]
mod foreign;
#[path = "datapath/increments.rs"]
mod increments;
#[path = "datapath/prefixes.rs"]
mod prefixes;
#[path = "datapath/repair.rs"]
mod repair;
#[path = "datapath/right.rs"]
mod right;
#[path = "datapath/rounds.rs"]
mod rounds;
#[path = "datapath/sudden.rs"]
mod sudden;

use model::{
    kernel::Kernel,
    make::{leftovers, own_leftovers},
};
use overlay::datapath::{host::Host, observed::Observed, plan::plan};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

/// So many cases, times what `PROPTEST_CASES` is to its default of 256; what failed once
/// is tried again first.
fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default().cases;
    ProptestConfig {
        cases: (cases * default).div_ceil(256),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/datapath/regressions.txt",
        ))),
        ..ProptestConfig::default()
    }
}

/// Hosts, each with what it finds in its kernel.
fn with_leftovers(hosts: impl Strategy<Value = Host>) -> impl Strategy<Value = (Host, Observed)> {
    hosts.prop_flat_map(|host| (Just(host.clone()), leftovers(&host)))
}

/// The same, in kernels in which everything is ours.
fn with_own(hosts: impl Strategy<Value = Host>) -> impl Strategy<Value = (Host, Observed)> {
    hosts.prop_flat_map(|host| (Just(host.clone()), own_leftovers(&host)))
}

/// A kernel that holds what the host wants, and nothing else.
fn settled(host: &Host) -> Kernel {
    let mut kernel = Kernel::fresh(host);
    let refused = kernel.apply_all(&plan(host, &kernel.observe()).steps);
    assert_eq!(refused, [], "a fresh kernel refuses nothing");
    kernel
}
