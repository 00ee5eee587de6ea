//! What others have in the kernel.

use overlay::{
    datapath::{
        observed::{Hop, Object, Observed, Us, ours},
        plan::plan,
        step::Step,
    },
    subnet::Family,
};

use super::{
    namespace::{run, with_underlay},
    world::{MAC, host, look, network, plan_now, settle},
};
use crate::kernel::Kernel;

#[test]
fn what_others_have_is_left_alone() {
    with_underlay(|| {
        for line in [
            // As flannel has it, and a network of another's.
            "ip link add flannel.1 type vxlan id 9 local 192.0.2.1 dstport 8472 nolearning dev eth0",
            "ip link set flannel.1 up",
            "ip addr add 10.99.1.0/32 dev flannel.1",
            "ip link add br0 type bridge",
            "ip link set br0 up",
            "bridge fdb add 02:99:00:00:00:01 dev flannel.1 dst 192.0.2.98 self permanent",
            "ip neigh add 10.99.2.0 lladdr 02:99:00:00:00:01 dev flannel.1 nud permanent",
            "ip route add 10.99.2.0/24 via 10.99.2.0 dev flannel.1 onlink",
            "ip route add default via 192.0.2.254",
            "ip route add 203.0.113.0/24 nexthop via 192.0.2.2 nexthop via 192.0.2.3",
            "ip -6 route add blackhole 2001:db8:66::/64",
            "ip route add 10.21.3.0/24 via 192.0.2.3 table 77 proto 77",
        ] {
            run(line);
        }
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..6);
        let seen = look(&mut kernel, &host);
        assert_eq!(seen.links.len(), 1);
        assert!(seen.routes.is_empty(), "{:?}", seen.routes);
        assert!(seen.fdb.is_empty() && seen.neighbours.is_empty() && seen.addresses.is_empty());
        let before = run("ip -d link show flannel.1");
        settle(&mut kernel, &host);
        assert_eq!(kernel.devices().len(), 1);

        // Somebody's route where ours should be is neither ours nor overwritten.
        let step = plan(&host, &Observed::default()).steps.into_iter();
        let routes: Vec<_> = step
            .filter_map(|step| match step {
                Step::SetRoute(route) => Some(route),
                _ => None,
            })
            .collect();
        let theirs = routes
            .iter()
            .find(|route| route.subnet.to_string() == "10.21.3.0/24");
        let metric = theirs.unwrap().metric();
        run(&format!(
            "ip route replace 10.21.3.0/24 via 192.0.2.3 dev eth0 proto static metric {metric}"
        ));
        let seen = look(&mut kernel, &host);
        let us = Us::among(MAC, &seen.links);
        let theirs = seen
            .routes
            .iter()
            .find(|route| route.metric == metric)
            .unwrap();
        assert!(!ours(Object::Route(theirs), &us));
        assert!(matches!(theirs.hop, Hop::Gateway { onlink: false, .. }));
        let plan = plan_now(&mut kernel, &host);
        assert_eq!(plan.steps, []);
        assert_eq!(plan.blocked, [*theirs]);
        assert_eq!(before, run("ip -d link show flannel.1"));
    });
}
