//! The kernel of this host: looked at as an [`Observed`], changed by [`Step`]s.
//!
//! Everything here blocks, for as long as the kernel takes and no longer: a batch of
//! a few hundred entries is one call of about a millisecond.

use overlay::datapath::step::Step;

/// What became of the steps of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub failures: Vec<Failure>,
}

/// A step that the kernel refused. The others were done all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub step: Step,
    /// The kernel's own words where it has some, such as `Nexthop has invalid gateway`.
    pub reason: String,
}
