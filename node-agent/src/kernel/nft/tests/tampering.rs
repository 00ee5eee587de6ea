use super::{
    Table, firewall, frame,
    namespace::{alone, run},
    untouched,
};

/// Handles of rules, as `nft --handle` prints them.
fn handle(rule: &str) -> String {
    let listed = run("nft --handle list table inet weft");
    let line = listed.lines().find(|line| line.contains(rule)).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn every_change_to_the_frame_is_noticed() {
    alone("tampering::every_change_to_the_frame_is_noticed", || {
        run("ip link add up0 type veth peer name x0; ip link add up1 type veth peer name x1");
        let mut frame = frame();
        frame.masquerade.insert("10.31.1.0/24".parse().unwrap());
        let firewall = firewall(frame, &["192.0.2.1", "2001:db8::1"]);
        let mut table = Table::open().unwrap();
        for tampering in [
            "nft delete rule inet weft guard handle $(RULE)",
            "nft add rule inet weft known accept",
            "nft insert rule inet weft known accept",
            "nft insert rule inet weft known counter comment \\\"hello\\\"",
            "nft replace rule inet weft guard handle $(RULE) udp dport 4788 goto vx",
            "nft 'add chain inet weft guard { policy drop; }'",
            "nft add chain inet weft extra",
            "nft 'add set inet weft extra { type ipv4_addr; }'",
            "nft 'add table inet weft { flags dormant; }'",
            "nft flush chain inet weft masq",
            "nft flush table inet weft",
            "nft 'add chain inet weft ingress { type filter hook ingress device up1 priority -500; }'",
            "ip link del up0; ip link add up0 type veth peer name x0",
            "ip link set up0 name up2; ip link set up1 name up0",
        ] {
            table.install(&firewall).unwrap();
            assert_eq!(table.look().unwrap(), untouched(&firewall), "{tampering}");
            run(&tampering.replace("$(RULE)", &handle("udp dport 4789 goto vx")));
            let seen = table.look().unwrap().unwrap();
            assert_eq!(seen.frame, None, "{tampering}");
            assert_eq!(seen.sources, firewall.sources, "{tampering}");
        }
    });
}

#[test]
fn a_deleted_table_is_gone_and_comes_back() {
    alone("tampering::a_deleted_table_is_gone_and_comes_back", || {
        run("ip link add up0 type veth peer name x0");
        let firewall = firewall(frame(), &["192.0.2.1"]);
        let mut table = Table::open().unwrap();
        for tampering in ["nft delete table inet weft", "nft flush ruleset"] {
            table.install(&firewall).unwrap();
            run(tampering);
            assert_eq!(table.look().unwrap(), None, "{tampering}");
        }
        run("nft add table inet weft");
        let seen = table.look().unwrap().unwrap();
        assert_eq!((seen.frame, seen.sources.len()), (None, 0));
        table.install(&firewall).unwrap();
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

#[test]
fn elements_are_seen_as_they_are_and_are_no_part_of_the_frame() {
    alone(
        "tampering::elements_are_seen_as_they_are_and_are_no_part_of_the_frame",
        || {
            run("ip link add up0 type veth peer name x0");
            let first = firewall(frame(), &["192.0.2.1", "2001:db8::1"]);
            let mut table = Table::open().unwrap();
            table.install(&first).unwrap();
            run("nft add element inet weft peers4 '{ 192.0.2.7 }'
                 nft add element inet weft peers6 '{ 2001:db8::7 }'
                 nft delete element inet weft peers6 '{ 2001:db8::1 }'");
            let now = ["192.0.2.1", "192.0.2.7", "2001:db8::7"];
            let seen = table.look().unwrap();
            assert_eq!(seen, untouched(&firewall(frame(), &now)));
            run("nft flush set inet weft peers4");
            let seen = table.look().unwrap();
            assert_eq!(seen, untouched(&firewall(frame(), &["2001:db8::7"])));
        },
    );
}

#[test]
fn counters_and_other_tables_are_no_change() {
    alone("tampering::counters_and_other_tables_are_no_change", || {
        run("ip link add up0 type veth peer name x0");
        let firewall = firewall(frame(), &["192.0.2.1"]);
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        run("echo a > /dev/udp/127.0.0.1/4789
             nft add table inet other; nft add chain inet other known");
        let listed = run("nft list chain inet weft vx");
        assert!(listed.contains("packets 1"), "{listed}");
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}
