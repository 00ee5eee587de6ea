//! What each fence is there for: the race that breaks a rule without it, or the
//! reason why none does. `docs/decisions/0002-lease-protocol.md` argues them.

use crate::{
    choice::Theme,
    fences::Fence,
    names::{APART, OWN, OWN_APART, Publish, SHARED, SHARED_APART, SILENT},
    starts::{
        API, BARE, BESIDE, DELETING, EMPTY, GONE, LAPSED, LEASED, NOTHING, REMOVED, RENAMED,
        RESERVED, UNSEEN,
    },
};

/// Without the fence, these decisions can break a rule from this start.
#[derive(Debug, Clone, Copy)]
pub struct Race {
    pub fence: Fence,
    pub from: &'static str,
    pub of: &'static [&'static str],
    /// What machines say of their addresses.
    pub say: &'static [Publish],
    pub rule: &'static str,
}

/// A comparison that the model does not need.
#[derive(Debug, Clone, Copy)]
pub struct Spare {
    pub decision: &'static str,
    pub kind: &'static str,
    pub why: &'static str,
}

pub const OTHER: [Race; 5] = [
    race(Fence::Flight, API, &["release", "renew"], OWN, "I4"),
    race(
        Fence::SkewBound,
        LEASED,
        &["close", "lapse", "reclaim"],
        OWN,
        "I5",
    ),
    race(
        Fence::LifeOfRelease,
        API,
        &["release", "acquire"],
        OWN,
        "I8",
    ),
    race(Fence::SidOfClose, LEASED, &["close", "open"], OWN, "I7"),
    race(
        Fence::RewriteOnOpen,
        GONE,
        &["open", "close", "lapse", "reclaim"],
        OWN,
        "I5",
    ),
];

pub const COMPARISONS: [Race; 50] = [
    needs("open", "node", LAPSED, &["remove"], OWN, "I6"),
    needs("open", "removed", EMPTY, &["remove"], APART, "I6"),
    needs("open", "sess", LEASED, &[], APART, "I7"),
    needs("open", "net", UNSEEN, &["forget", "erase"], OWN, "network"),
    needs("open", "lease", BESIDE, &["release"], SILENT, "I4"),
    needs("open", "claim", EMPTY, &[], OWN, "I1"),
    needs("open", "under", EMPTY, &[], SHARED, "underlay"),
    needs("open", "resv", EMPTY, &["reserve"], OWN, "reserved"),
    needs(
        "open",
        "holder's lease",
        API,
        &["renew"],
        SHARED,
        "underlay",
    ),
    needs("open", "holder's sess", API, &[], SHARED_APART, "I2"),
    needs("acquire", "node", BARE, &["remove"], OWN, "I6"),
    needs(
        "acquire",
        "removed",
        EMPTY,
        &["open", "remove"],
        OWN_APART,
        "I6",
    ),
    needs(
        "acquire",
        "net",
        UNSEEN,
        &["forget", "erase"],
        OWN,
        "network",
    ),
    needs("acquire", "lease", BESIDE, &["release"], SILENT, "I4"),
    needs("acquire", "claim", EMPTY, &[], OWN, "I1"),
    needs("acquire", "under", EMPTY, &[], SHARED, "underlay"),
    needs("acquire", "resv", EMPTY, &["reserve"], OWN, "reserved"),
    needs(
        "acquire",
        "holder's lease",
        API,
        &["renew"],
        SHARED,
        "underlay",
    ),
    needs(
        "acquire",
        "holder's sess",
        API,
        &["open"],
        SHARED_APART,
        "I2",
    ),
    needs("join", "sess", BARE, &["open"], OWN_APART, "I7"),
    needs("join", "net", UNSEEN, &["forget", "erase"], OWN, "network"),
    needs("join", "lease", BESIDE, &["release"], SILENT, "I4"),
    needs("join", "claim", BARE, &["open"], OWN, "I1"),
    needs("join", "under", LEASED, &["open"], SHARED, "underlay"),
    needs("join", "resv", BARE, &["reserve"], OWN, "reserved"),
    needs(
        "join",
        "holder's lease",
        API,
        &["open", "renew"],
        SHARED,
        "underlay",
    ),
    needs("join", "holder's sess", API, &["open"], SHARED_APART, "I2"),
    needs("leave", "sess", LEASED, &["open"], APART, "I7"),
    needs("leave", "claim", LEASED, &["reserve"], OWN, "reserved"),
    needs("close", "sess", LEASED, &["open"], OWN, "I7"),
    needs("renew", "lease", API, &["release"], OWN, "I4"),
    needs("release", "sess", LAPSED, &["open"], APART, "I3"),
    needs("release", "lease", BESIDE, &["open"], SILENT, "I3"),
    needs("release", "claim", API, &["reserve"], OWN, "reserved"),
    needs(
        "reserve",
        "net",
        UNSEEN,
        &["forget", "erase"],
        OWN,
        "network",
    ),
    needs("reserve", "resv", EMPTY, &[], OWN, "reserved"),
    needs("reserve", "lease", EMPTY, &["open"], OWN, "reserved"),
    needs("reserve", "claim", EMPTY, &["open"], OWN, "I1"),
    needs("unreserve", "claim", RESERVED, &["open"], OWN, "I1"),
    needs("remove", "node", RENAMED, &["acquire"], SILENT, "I6"),
    needs("remove", "sess", LAPSED, &["open"], OWN, "I6"),
    needs("create", "nets", NOTHING, &[], OWN, "network"),
    needs("grow", "nets", EMPTY, &["create"], OWN, "network"),
    needs("lapse", "sess", GONE, &["open"], APART, "I2"),
    needs("lapse", "lease", GONE, &["release"], OWN, "I4"),
    needs("reclaim", "sess", LAPSED, &["open"], APART, "I2"),
    needs("reclaim", "lease", API, &["renew"], OWN, "I5"),
    needs("reclaim", "claim", API, &["reserve"], OWN, "reserved"),
    needs("withdraw", "claim", DELETING, &["end"], OWN, "I1"),
    needs("end", "claim", REMOVED, &["reserve"], OWN, "reserved"),
];

pub const SPARED: [Spare; 16] = [
    spare(
        "create",
        "net",
        "whoever writes a network writes nets, which is compared",
    ),
    spare(
        "grow",
        "net",
        "whoever writes a network writes nets, which is compared",
    ),
    spare(
        "delete",
        "net",
        "whoever writes a network writes nets, which is compared",
    ),
    spare(
        "delete",
        "nets",
        "the network is compared, and nothing is asked of the others",
    ),
    spare(
        "erase",
        "net",
        "whoever writes a network writes nets, which is compared",
    ),
    spare(
        "erase",
        "nets",
        "the network is compared, and nothing is asked of the others",
    ),
    spare(
        "join",
        "node",
        "a removal ends the session, which is compared",
    ),
    spare(
        "leave",
        "lease",
        "its claims name its life and are compared, and so is the session",
    ),
    spare(
        "end",
        "lease",
        "its claims name its life and are compared; an orphan stays one",
    ),
    spare(
        "leave",
        "under",
        "an address changes hands only with the lease, which is compared",
    ),
    spare(
        "release",
        "under",
        "an address changes hands only with the lease, which is compared",
    ),
    spare(
        "reclaim",
        "under",
        "an address changes hands only with the lease, which is compared",
    ),
    spare(
        "end",
        "under",
        "an address changes hands only with the lease, which is compared",
    ),
    spare(
        "unreserve",
        "resv",
        "its claims change whenever it does, and are compared",
    ),
    spare(
        "withdraw",
        "resv",
        "its claims change whenever it does, and are compared",
    ),
    spare(
        "forget",
        "free",
        "only a place in the queue of a network that gives out nothing",
    ),
];

impl Race {
    /// Two machines, nothing lost, and only these decisions.
    pub fn theme(&self) -> Theme {
        let mut of = self.of.to_vec();
        let mut reinstalls = false;
        if let Fence::Compare(decision, _) = self.fence {
            of.push(decision);
            reinstalls = decision == "remove";
        }
        Theme {
            published: self.say,
            machines: 2,
            renamed: false,
            faults: false,
            reinstalls,
            pending: 2,
            ticks: 3,
            ..Theme::of(&of)
        }
    }
}

const fn race(
    fence: Fence,
    from: &'static str,
    of: &'static [&'static str],
    say: &'static [Publish],
    rule: &'static str,
) -> Race {
    Race {
        fence,
        from,
        of,
        say,
        rule,
    }
}

/// The decision itself is one of those that race.
const fn needs(
    decision: &'static str,
    kind: &'static str,
    from: &'static str,
    against: &'static [&'static str],
    say: &'static [Publish],
    rule: &'static str,
) -> Race {
    race(Fence::Compare(decision, kind), from, against, say, rule)
}

const fn spare(decision: &'static str, kind: &'static str, why: &'static str) -> Spare {
    Spare {
        decision,
        kind,
        why,
    }
}
