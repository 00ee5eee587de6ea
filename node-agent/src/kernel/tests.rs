use overlay::{datapath::plan::Plan, subnet::Family};

use self::{
    namespace::{json, run, with_underlay},
    world::{host, look, network, plan_now, settle},
};
use super::Kernel;

pub mod namespace;
pub mod world;

#[test]
fn what_is_done_is_what_is_seen() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let networks = [
            network(1, Family::V4, "vxlan"),
            network(2, Family::V6, "vxlan"),
            network(16_777_215, Family::V4, "auto"),
        ];
        let host = host(&networks, 2..50);
        settle(&mut kernel, &host);
        println!("{}", run("ip -d link show weft1"));
        println!("{}", json("ip -j route").len());
        let _ = (
            look(&mut kernel, &host),
            Plan::default(),
            plan_now(&mut kernel, &host),
        );
    });
}
