use std::time::Duration;

use tokio::time::timeout;

use super::{
    Table, firewall, frame,
    namespace::{alone, run},
    ten_thousand,
};
use crate::kernel::nft::Watch;

/// Long enough for anything that is on its way already.
const QUIET: Duration = Duration::from_millis(200);

#[test]
fn it_tells_of_others_changes_and_not_of_ours() {
    alone("watch::it_tells_of_others_changes_and_not_of_ours", || {
        run("ip link add up0 type veth peer name x0");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut table = Table::open().unwrap();
            let mut watch = Watch::open(&table).unwrap();
            let mut firewall = firewall(frame(), &[]);
            firewall.sources = ten_thousand();
            // From another thread, as a blocking task would.
            let table = std::thread::spawn(move || {
                for _ in 0..3 {
                    table.install(&firewall).unwrap();
                }
                let one = "192.0.2.1".parse().unwrap();
                table.change_sources(&[one], &[]).unwrap();
                table.look().unwrap();
                table
            });
            let mut table = table.join().unwrap();
            timeout(QUIET, watch.changed()).await.unwrap_err();

            for change in [
                "nft add element inet weft peers4 '{ 192.0.2.7 }'",
                "nft add table inet other",
                "nft flush ruleset",
            ] {
                run(change);
                let told = timeout(Duration::from_secs(5), watch.changed()).await;
                told.expect(change).unwrap();
                let more = timeout(QUIET, watch.changed()).await;
                assert!(more.is_err(), "{change} was told twice");
            }
            table.remove().unwrap();
            timeout(QUIET, watch.changed()).await.unwrap_err();
        });
    });
}

#[test]
fn lost_events_are_a_change() {
    alone("watch::lost_events_are_a_change", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut table = Table::open().unwrap();
            let mut watch = Watch::open(&table).unwrap();
            let mut firewall = firewall(frame(), &[]);
            firewall.frame.uplinks.clear();
            firewall.sources = ten_thousand();
            for _ in 0..100 {
                table.install(&firewall).unwrap();
            }
            let told = timeout(Duration::from_secs(5), watch.changed()).await;
            told.unwrap().unwrap();
            timeout(QUIET, watch.changed()).await.unwrap_err();
        });
    });
}
