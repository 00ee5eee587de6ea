//! Ten thousand peers.

use std::time::Instant;

use overlay::{
    datapath::{
        entry::PROTOCOL,
        plan::{Plan, plan},
        step::Step,
    },
    subnet::Family,
};

use super::{
    namespace::{run, with_underlay},
    world::{host, look, network, plan_now, settle},
};
use crate::kernel::{Kernel, Outcome};

#[test]
fn ten_thousand_peers_are_seen() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..10_002);
        settle(&mut kernel, &host);
        let seen = look(&mut kernel, &host);
        assert_eq!(seen.fdb.len(), 10_000);
        let permanent = seen.neighbours.iter().filter(|seen| seen.permanent);
        assert_eq!(permanent.count(), 20_000);
        let routes = seen.routes.iter().filter(|seen| seen.protocol == PROTOCOL);
        assert_eq!(routes.count(), 20_002);
    });
}

/// Prints how long it takes. Run it alone, in release.
#[test]
#[ignore = "measures"]
fn how_long_ten_thousand_peers_take() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let mut network = network(1, Family::V4, "vxlan");
        network.pool6 = None;
        let host = host(&[network], 2..10_002);
        for _ in 0..5 {
            let (entries, devices): (Vec<Step>, Vec<Step>) = plan_now(&mut kernel, &host)
                .steps
                .into_iter()
                .partition(|step| ["fdb", "neighbour", "route"].contains(&step.kind()));
            assert_eq!(kernel.apply(&devices), Outcome::default());
            let start = Instant::now();
            let outcome = kernel.apply(&entries);
            let applied = start.elapsed();
            assert_eq!(outcome, Outcome::default());
            let start = Instant::now();
            let seen = look(&mut kernel, &host);
            let looked = start.elapsed();
            let start = Instant::now();
            let left = plan(&host, &seen);
            let planned = start.elapsed();
            assert_eq!(left, Plan::default());
            println!(
                "{} steps applied in {applied:?}, looked in {looked:?}, planned in {planned:?}",
                entries.len()
            );
            run("ip link del weft1");
        }
        let mut lines = String::new();
        let mut fdb = String::new();
        let steps = plan_now(&mut kernel, &host).steps;
        for step in &steps {
            let line = step.to_string();
            match step.kind() {
                "fdb" => fdb += &(line.replace("bridge ", "") + " self permanent\n"),
                "neighbour" | "route" => lines += &(line.replace("ip ", "") + "\n"),
                _ => {
                    assert_eq!(kernel.apply(std::slice::from_ref(step)), Outcome::default());
                }
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let (fdb_file, file) = (directory.path().join("fdb"), directory.path().join("ip"));
        std::fs::write(&fdb_file, fdb).unwrap();
        std::fs::write(&file, lines).unwrap();
        let start = Instant::now();
        run(&format!("bridge -batch {}", fdb_file.display()));
        run(&format!("ip -batch {}", file.display()));
        println!("the same by bridge and ip -batch in {:?}", start.elapsed());
        assert_eq!(plan_now(&mut kernel, &host), Plan::default());
    });
}
