//! On the real kernel and with the real programs, in network namespaces. `iptables -S`
//! and packets are what the expectations come from.

mod packets;

use std::process::Command;

use overlay::{
    datapath::forward::{Backend, CHAIN, Filter, Pass, Passage},
    subnet::Family,
};

use super::*;
use crate::kernel::nft::tests::namespace::{alone_in, run};

fn alone(test: &str, body: impl FnOnce()) {
    alone_in("kernel::forward::tests", test, body);
}

fn every() -> [Filter; 4] {
    let [four, six] = Family::BOTH;
    [
        (Backend::Legacy, four),
        (Backend::Legacy, six),
        (Backend::Nft, four),
        (Backend::Nft, six),
    ]
    .map(|(backend, family)| Filter { backend, family })
}

fn rules(family: Family) -> Vec<String> {
    let pools = ["10.31.0.0/16", "fd77:1::/32"].map(|pool| pool.parse().unwrap());
    let of_family = |pool: &overlay::subnet::Subnet| pool.family() == family;
    let pools: std::collections::BTreeSet<_> = pools.into_iter().filter(of_family).collect();
    let direct = pools
        .iter()
        .map(|pool| ("eth0".to_owned(), *pool))
        .collect();
    Pass { pools, direct }.rules()
}

/// What a plan would do.
fn open(forward: &mut Forward, nft: &mut Table) {
    for (filter, seen) in look(forward, nft) {
        let rules = rules(filter.family);
        if seen.could_drop && !seen.is(&rules) {
            let jumps = seen.jumps.len();
            let passage = Passage {
                filter,
                jumps,
                rules,
            };
            forward.open(&passage).unwrap();
        }
    }
}

/// A look that asks again, as one on the timer does.
fn look(forward: &mut Forward, nft: &mut Table) -> Filters {
    forward.known = None;
    forward.look(nft).unwrap()
}

fn is_right(forward: &mut Forward, nft: &mut Table, filter: Filter) -> bool {
    look(forward, nft)
        .get(&filter)
        .is_some_and(|seen| seen.is(&rules(filter.family)))
}

#[test]
fn where_no_table_is_in_use_none_is_made() {
    alone("where_no_table_is_in_use_none_is_made", || {
        let (mut forward, mut nft) = (Forward::default(), Table::open().unwrap());
        let tables = "cat /proc/self/net/ip_tables_names /proc/self/net/ip6_tables_names
                      nft list tables";
        run("nft add table ip nat; nft add table inet filter");
        let before = run(tables);
        assert_eq!(look(&mut forward, &mut nft), Filters::new());
        assert_eq!(run(tables), before);
        // A table that drops nothing that is forwarded is left alone as well.
        run("iptables-nft -A INPUT -j ACCEPT; iptables-nft -P FORWARD ACCEPT");
        assert_eq!(look(&mut forward, &mut nft), Filters::new());
        run("iptables-legacy -P FORWARD ACCEPT");
        let seen = look(&mut forward, &mut nft);
        let seen: Vec<_> = seen.values().map(|seen| seen.could_drop).collect();
        assert_eq!(seen, [false]);
    });
}

#[test]
fn the_chain_is_put_back_whatever_is_done_to_it() {
    alone("the_chain_is_put_back_whatever_is_done_to_it", || {
        for filter in every() {
            let (mut forward, mut nft) = (Forward::default(), Table::open().unwrap());
            run(&format!(
                "{filter} -P FORWARD DROP; {filter} -N DOCKER-USER
                 {filter} -A FORWARD -j DOCKER-USER; {filter} -A FORWARD -i docker0 -j ACCEPT"
            ));
            let others = || {
                let listed = run(&format!("{filter} -S"));
                let others = listed.lines().filter(|line| !line.contains(CHAIN));
                others.map(str::to_owned).collect::<Vec<_>>()
            };
            let theirs = others();
            for tampering in [
                "true",
                "T -F WEFT-FORWARD",
                "T -D WEFT-FORWARD 2",
                "T -A WEFT-FORWARD -j DROP",
                "T -I WEFT-FORWARD -s 10.0.0.0/8 -j DROP || T -I WEFT-FORWARD -s fd00::/8 -j DROP",
                "T -R WEFT-FORWARD 1 -j RETURN",
                "T -D FORWARD -j WEFT-FORWARD",
                "T -D FORWARD 1; T -F WEFT-FORWARD; T -X WEFT-FORWARD",
                "T -A FORWARD -j WEFT-FORWARD; T -A FORWARD -j WEFT-FORWARD",
                "T -D FORWARD 1; T -A FORWARD -j WEFT-FORWARD",
            ] {
                let undone = tampering == "true";
                if !undone {
                    assert!(
                        is_right(&mut forward, &mut nft, filter),
                        "{filter}: {tampering}"
                    );
                }
                run(&tampering.replace("T ", &format!("{filter} ")));
                assert!(
                    !is_right(&mut forward, &mut nft, filter),
                    "{filter}: {tampering}"
                );
                open(&mut forward, &mut nft);
                let state = run(&format!("{filter} -S"));
                assert!(
                    is_right(&mut forward, &mut nft, filter),
                    "{tampering}:\n{state}"
                );
                assert_eq!(others(), theirs, "{filter}: {tampering}");
            }
            // Docker begins anew.
            run(&format!(
                "{filter} -F; {filter} -X; {filter} -A FORWARD -j DROP"
            ));
            open(&mut forward, &mut nft);
            assert!(is_right(&mut forward, &mut nft, filter), "{filter}");
            let first = run(&format!("{filter} -S FORWARD"));
            assert_eq!(first.lines().nth(1), Some("-A FORWARD -j WEFT-FORWARD"));

            let seen = look(&mut forward, &mut nft)[&filter].clone();
            forward.close(filter, seen.jumps.len()).unwrap();
            let left = run(&format!("{filter} -S"));
            assert!(
                !left.contains(CHAIN) && left.contains("-A FORWARD -j DROP"),
                "{left}"
            );
            // It alone is gone, or was gone before.
            let seen = look(&mut forward, &mut nft)[&filter].clone();
            assert!(seen.could_drop && !seen.is_any());
            run(&format!("{filter} -F FORWARD; {filter} -P FORWARD ACCEPT"));
            let seen = look(&mut forward, &mut nft);
            assert!(seen.get(&filter).is_none_or(|seen| !seen.could_drop));
        }
    });
}

#[test]
fn what_was_just_read_is_not_read_again() {
    alone("what_was_just_read_is_not_read_again", || {
        let (mut forward, mut nft) = (Forward::default(), Table::open().unwrap());
        let [legacy, _, of_nft, _] = every();
        run(&format!(
            "{legacy} -P FORWARD DROP; {of_nft} -P FORWARD DROP"
        ));
        let first = forward.look(&mut nft).unwrap();
        assert_eq!(first.len(), 2);
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(forward.look(&mut nft).unwrap(), first);
        }
        println!(
            "a look beside what is known took {:?}",
            start.elapsed() / 100
        );
        let start = Instant::now();
        assert_eq!(look(&mut forward, &mut nft), first);
        println!("a look at two tables took {:?}", start.elapsed());
        // nftables count: a change is seen at once.
        run(&format!(
            "{of_nft} -A FORWARD -j DROP; {of_nft} -P FORWARD ACCEPT; {of_nft} -F FORWARD"
        ));
        let seen = forward.look(&mut nft).unwrap();
        assert!(!seen.contains_key(&of_nft) && seen[&legacy].could_drop);
    });
}

#[test]
fn without_the_program_the_reason_is_one_sentence() {
    const INNER: &str = "WEFT_TEST_WITHOUT_PROGRAMS";
    let name = "without_the_program_the_reason_is_one_sentence";
    let [legacy, ..] = every();
    if std::env::var_os(INNER).is_some() {
        run("mount --make-rprivate /
             iptables-legacy -P FORWARD DROP
             mount -t tmpfs none /usr/sbin");
        let (mut forward, mut nft) = (Forward::default(), Table::open().unwrap());
        let seen = look(&mut forward, &mut nft)[&legacy].clone();
        assert!(seen.could_drop && !seen.is_any());
        let passage = Passage {
            filter: legacy,
            jumps: 0,
            rules: rules(Family::V4),
        };
        let told = forward.open(&passage).unwrap_err().to_string();
        assert_eq!(
            told,
            "there is no iptables-legacy to change it with, and packets of containers may be \
             dropped; install the package iptables"
        );
        return;
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            &format!("kernel::forward::tests::{name}"),
        ])
        .env(INNER, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} in its namespace (root is needed)");
}
