use std::{future::Future, io, time::Duration};

use overlay::{
    datapath::{host::Sighting, observed::Hop},
    subnet::Family,
};
use tokio::time::timeout;

use super::{Events, News};
use crate::kernel::{
    Kernel,
    tests::{
        namespace::{run, with_underlay},
        world::{MAC, host, network, settle},
    },
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Everything that is told until there is news of this kind.
async fn until(events: &mut Events, is_it: impl Fn(&News) -> bool) -> Vec<News> {
    let mut all = Vec::new();
    while !all.iter().any(&is_it) {
        match timeout(Duration::from_secs(5), events.next()).await {
            Ok(news) => all.extend(news.unwrap()),
            Err(_) => panic!("only these: {all:?}"),
        }
    }
    all
}

#[test]
fn whatever_is_deleted_is_told() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..6);
        settle(&mut kernel, &host);
        let weft = *kernel.devices().keys().next().unwrap();
        block_on(async {
            let mut events = Events::open().unwrap();
            let mut told = async |line: &str, is_it: &dyn Fn(&News) -> bool| {
                run(line);
                until(&mut events, is_it).await
            };
            told(
                "bridge fdb del 02:77:01:00:00:03 dev weft1 self",
                &|news| matches!(news, News::Seen(Sighting::Fdb { gone: true, fdb }) if fdb.index == weft && fdb.plain),
            )
            .await;
            told(
                "bridge fdb replace 02:77:01:00:00:04 dev weft1 dst 192.0.2.99 self permanent",
                &|news| matches!(news, News::Seen(Sighting::Fdb { gone: false, fdb }) if fdb.to == "192.0.2.99".parse().ok()),
            )
            .await;
            for line in [
                "ip neigh del 10.21.3.0 dev weft1",
                "ip neigh del fe80::77:1ff:fe00:3 dev weft1",
            ] {
                told(line, &|news| {
                    matches!(news, News::Seen(Sighting::Neighbour { gone: true, neighbour }) if neighbour.index == weft)
                })
                .await;
            }
            for line in [
                "ip route del 10.21.3.0/24",
                "ip -6 route del fd77:21:0:3::/64",
            ] {
                told(line, &|news| {
                    matches!(news, News::Seen(Sighting::Route { gone: true, route })
                        if matches!(route.hop, Hop::Gateway { device, .. } if device == weft))
                })
                .await;
            }
            for line in [
                "ip route del unreachable 10.21.1.0/24",
                "ip -6 route del unreachable fd77:21:0:1::/64",
            ] {
                told(line, &|news| {
                    matches!(news, News::Seen(Sighting::Route { gone: true, route }) if route.hop == Hop::Unreachable)
                })
                .await;
            }
            for line in [
                "ip addr del 10.21.1.0/32 dev weft1",
                "ip addr del fd77:21:0:1::/128 dev weft1",
            ] {
                told(line, &|news| {
                    matches!(news, News::Seen(Sighting::Address { gone: true, address }) if address.index == weft)
                })
                .await;
            }
            told("sysctl -qw net.ipv4.ip_forward=0", &|news| {
                *news == News::Setting
            })
            .await;
            told("sysctl -qw net.ipv6.conf.all.forwarding=0", &|news| {
                *news == News::Setting
            })
            .await;
            told("ip link set weft1 name other0", &|news| {
                matches!(news, News::Link { gone: false, link } if link.name == "other0" && link.index == weft)
            })
            .await;
            told("ip link set eth0 mtu 1400", &|news| {
                matches!(news, News::Link { gone: false, link } if link.name == "eth0" && link.mtu == 1400)
            })
            .await;
            let news = told(
                "ip link del other0",
                &|news| matches!(news, News::Link { gone: true, link } if link.index == weft),
            )
            .await;
            let Some(News::Link { link, .. }) = news.last() else {
                panic!("{news:?}");
            };
            assert_eq!(link.mac, Some(MAC));
            assert_eq!(link.vxlan.map(|vxlan| vxlan.vni), Some(1));
        });
    });
}

/// What we do ourselves comes back as news, and none of it asks for a look.
#[test]
fn our_own_doing_is_expected() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let networks = [
            network(1, Family::V4, "auto"),
            network(2, Family::V6, "vxlan"),
        ];
        let host = host(&networks, 2..100);
        block_on(async {
            let mut events = Events::open().unwrap();
            settle(&mut kernel, &host);
            run("ip link set far0 alias end");
            let news = until(
                &mut events,
                |news| matches!(news, News::Link { link, .. } if link.name == "far0"),
            )
            .await;
            let sightings = news.iter().filter_map(|news| match news {
                News::Seen(sighting) => Some(sighting),
                News::Link { .. } | News::Setting | News::Overrun => None,
            });
            let mut count = 0;
            for sighting in sightings {
                count += 1;
                assert!(host.expects(sighting, kernel.devices()), "{sighting:?}");
            }
            assert!(count > 900, "{count}");
        });
    });
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_gone() {
    with_underlay(|| {
        run("ip link add br0 type bridge");
        run("ip link set far0 master br0");
        block_on(async {
            let mut events = Events::open().unwrap();
            run("ip link set far0 nomaster");
            run("ip link set br0 alias end");
            let news = until(
                &mut events,
                |news| matches!(news, News::Link { link, .. } if link.name == "br0"),
            )
            .await;
            assert!(
                !news
                    .iter()
                    .any(|news| matches!(news, News::Link { gone: true, .. })),
                "{news:?}"
            );
            assert!(news.iter().any(|news| {
                matches!(news, News::Link { link, .. } if link.name == "far0" && link.master.is_none())
            }));
        });
    });
}

#[test]
fn too_much_at_once_is_an_overrun() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..2000);
        block_on(async {
            let mut events = Events::with_buffer(64 * 1024).unwrap();
            settle(&mut kernel, &host);
            until(&mut events, |news| *news == News::Overrun).await;
            // It hears again.
            let rest = async { while events.next().await.is_ok() {} };
            assert!(timeout(Duration::from_millis(100), rest).await.is_err());
            run("ip link set eth0 mtu 1400");
            until(&mut events, |news| matches!(news, News::Link { .. })).await;
        });
    });
}

#[test]
fn no_news_is_lost_between_two_calls() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..500);
        block_on(async {
            let mut events = Events::open().unwrap();
            settle(&mut kernel, &host);
            run("ip link set far0 alias end");
            let end = |news: &News| matches!(news, News::Link { link, .. } if link.name == "far0");
            let mut fdb = 0;
            let mut ended = false;
            while !ended {
                let told: io::Result<Vec<News>> = tokio::select! {
                    biased;
                    // One that is dropped again and again.
                    () = tokio::task::yield_now() => continue,
                    news = events.next() => news,
                };
                let news = told.unwrap();
                fdb += news
                    .iter()
                    .filter(|news| matches!(news, News::Seen(Sighting::Fdb { .. })))
                    .count();
                ended = news.iter().any(end);
            }
            assert_eq!(fdb, 498);
        });
    });
}
