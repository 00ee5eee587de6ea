use std::time::Instant;

use overlay::subnet::Subnet;

use super::{
    Table, addresses, firewall, frame,
    namespace::{alone, run},
    ten_thousand, untouched,
};

const LISTED: &str = include_str!("table.nft");

/// What nft says of it is compared as a whole: whoever changes a rule reads the change.
#[test]
fn nft_lists_what_was_installed() {
    alone("install::nft_lists_what_was_installed", || {
        run("ip link add up0 type veth peer name x0; ip link add up1 type veth peer name x1");
        let mut frame = frame();
        frame.ports.insert(4790);
        frame.uplinks.insert("up1".to_owned());
        frame.pools.insert("10.64.0.0/11".parse().unwrap());
        frame.masquerade = ["10.31.1.0/24", "fd77:1:0:8000::/49"]
            .map(|subnet| subnet.parse::<Subnet>().unwrap())
            .into();
        let firewall = firewall(frame, &["192.0.2.1", "2001:db8:50::1"]);
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        let listed = run("nft --stateless list table inet weft");
        assert_eq!(listed, LISTED, "{listed}");
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

#[test]
fn without_masquerade_nothing_tracks_connections() {
    alone(
        "install::without_masquerade_nothing_tracks_connections",
        || {
            run("ip link add up0 type veth peer name x0");
            let mut table = Table::open().unwrap();
            table.install(&firewall(frame(), &[])).unwrap();
            let listed = run("nft list table inet weft");
            assert!(
                !listed.contains("nat") && !listed.contains("notrack"),
                "{listed}"
            );
        },
    );
}

#[test]
fn without_uplinks_ports_or_pools_it_is_still_a_table() {
    alone(
        "install::without_uplinks_ports_or_pools_it_is_still_a_table",
        || {
            let mut table = Table::open().unwrap();
            let firewall = firewall(Default::default(), &[]);
            table.install(&firewall).unwrap();
            assert_eq!(table.look().unwrap(), untouched(&firewall));
        },
    );
}

#[test]
fn a_whole_family_can_be_a_pool() {
    alone("install::a_whole_family_can_be_a_pool", || {
        let mut frame = frame();
        frame.uplinks.clear();
        frame.pools = ["0.0.0.0/0", "::/0"]
            .map(|pool| pool.parse().unwrap())
            .into();
        let firewall = firewall(frame, &[]);
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

#[test]
fn ten_thousand_sources() {
    alone("install::ten_thousand_sources", || {
        run("ip link add up0 type veth peer name x0");
        let mut firewall = firewall(frame(), &[]);
        firewall.sources = ten_thousand();
        let mut table = Table::open().unwrap();
        for what in ["install", "install again"] {
            let start = Instant::now();
            table.install(&firewall).unwrap();
            println!("{what} of 10,000 took {:?}", start.elapsed());
        }

        let start = Instant::now();
        assert_eq!(table.look().unwrap(), untouched(&firewall));
        println!("look at 10,000 took {:?}", start.elapsed());

        let one = "198.51.100.7".parse().unwrap();
        let start = Instant::now();
        table.change_sources(&[one], &[]).unwrap();
        println!("one more took {:?}", start.elapsed());
        let element = "nft get element inet weft peers4 '{ 198.51.100.7 }'";
        run(element);
        let start = Instant::now();
        table.change_sources(&[], &[one]).unwrap();
        println!("one less took {:?}", start.elapsed());
        assert_eq!(table.look().unwrap(), untouched(&firewall));

        let all: Vec<_> = firewall.sources.iter().copied().collect();
        let start = Instant::now();
        table.change_sources(&[], &all).unwrap();
        println!("10,000 less took {:?}", start.elapsed());
        firewall.sources.clear();
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

#[test]
fn a_hundred_thousand_sources_fit_too() {
    alone("install::a_hundred_thousand_sources_fit_too", || {
        let mut frame = frame();
        frame.uplinks.clear();
        let mut firewall = firewall(frame, &[]);
        firewall.sources = (0..100_000u128)
            .map(|number| std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + number).into())
            .collect();
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        // While the kernel still makes room for so many, a reader may miss some.
        let whole = || table.look().unwrap() == untouched(&firewall);
        let mut looks = std::iter::repeat_with(whole).take(1000);
        assert!(looks.any(|whole| whole));
    });
}

#[test]
fn changing_sources_takes_what_is_there_as_it_is() {
    alone(
        "install::changing_sources_takes_what_is_there_as_it_is",
        || {
            run("ip link add up0 type veth peer name x0");
            let mut table = Table::open().unwrap();
            let admit: Vec<_> = addresses(&["192.0.2.1", "192.0.2.2", "2001:db8::1"])
                .into_iter()
                .collect();
            let bar: Vec<_> = addresses(&["192.0.2.8", "192.0.2.9", "2001:db8::9"])
                .into_iter()
                .collect();
            let told = table.change_sources(&admit, &bar).unwrap_err().to_string();
            assert_eq!(
                told,
                "cannot change the peers of the table inet weft: the kernel refuses \
             elements: No such file or directory (os error 2)"
            );
            table
                .install(&firewall(frame(), &["192.0.2.1", "192.0.2.9"]))
                .unwrap();
            for _ in 0..2 {
                table.change_sources(&admit, &bar).unwrap();
                let sources = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
                let expected = untouched(&firewall(frame(), &sources));
                assert_eq!(table.look().unwrap(), expected);
            }
            table.change_sources(&[], &bar).unwrap();
        },
    );
}

#[test]
fn a_missing_uplink_is_told_and_leaves_the_old_table() {
    alone(
        "install::a_missing_uplink_is_told_and_leaves_the_old_table",
        || {
            run("ip link add up0 type veth peer name x0");
            let mut table = Table::open().unwrap();
            table.install(&firewall(frame(), &["192.0.2.1"])).unwrap();
            let before = run("nft list table inet weft");
            let mut other = frame();
            other.uplinks.insert("up9".to_owned());
            let told = table
                .install(&firewall(other, &[]))
                .unwrap_err()
                .to_string();
            assert_eq!(
                told,
                "cannot guard the device up9: No such device (os error 19)"
            );
            assert_eq!(run("nft list table inet weft"), before);
        },
    );
}

#[test]
fn removed_twice_and_foreign_tables_stay() {
    alone("install::removed_twice_and_foreign_tables_stay", || {
        run("ip link add up0 type veth peer name x0
             nft add table ip weft; nft add table inet other
             nft 'add chain inet other c { type filter hook input priority 0; }'");
        let before = run("nft list ruleset");
        let mut table = Table::open().unwrap();
        assert_eq!(table.look().unwrap(), None);
        table.install(&firewall(frame(), &["192.0.2.1"])).unwrap();
        table.remove().unwrap();
        assert_eq!(run("nft list ruleset"), before);
        assert_eq!(table.look().unwrap(), None);
        table.remove().unwrap();
        assert_eq!(run("nft list ruleset"), before);
    });
}

#[test]
fn another_process_s_table_is_not_taken_for_ours() {
    alone(
        "install::another_process_s_table_is_not_taken_for_ours",
        || {
            run("ip link add up0 type veth peer name x0");
            let firewall = firewall(frame(), &["192.0.2.1"]);
            Table::open().unwrap().install(&firewall).unwrap();
            let mut later = Table::open().unwrap();
            let seen = later.look().unwrap().unwrap();
            assert_eq!(seen.frame, None);
            assert_eq!(seen.sources, firewall.sources);
            later.install(&firewall).unwrap();
            assert_eq!(later.look().unwrap(), untouched(&firewall));
        },
    );
}

/// The same table as a release made it that did not count by peer.
const UNCOUNTED: &str = r"nft list table inet weft > table
    sed -i '/^\t\tcounter$/d; /elements/s/ counter packets [0-9]* bytes [0-9]*//g' table
    (echo 'delete table inet weft'; cat table) | nft -f -
    rm table";

#[test]
fn a_later_run_recognises_what_is_right() {
    alone("install::a_later_run_recognises_what_is_right", || {
        run("ip link add up0 type veth peer name x0");
        let firewall = firewall(frame(), &["192.0.2.1"]);
        Table::open().unwrap().install(&firewall).unwrap();
        let mut later = Table::open().unwrap();
        later.recognise(&firewall.frame).unwrap();
        assert_eq!(later.look().unwrap(), untouched(&firewall));
        assert_eq!(run("nft list tables").trim(), "table inet weft");

        // What is not right, or is right for another frame, is not.
        let mut other = firewall.frame.clone();
        other.ports.insert(4999);
        for (frame, tampering) in [
            (&other, "true"),
            (&firewall.frame, UNCOUNTED),
            (&firewall.frame, "nft add chain inet weft more"),
        ] {
            run(tampering);
            let mut later = Table::open().unwrap();
            later.recognise(frame).unwrap();
            assert_eq!(later.look().unwrap().unwrap().frame, None, "{tampering}");
            assert_eq!(run("nft list tables").trim(), "table inet weft");
        }
        later.remove().unwrap();
        let mut later = Table::open().unwrap();
        later.recognise(&firewall.frame).unwrap();
        assert_eq!(later.look().unwrap(), None);
    });
}
