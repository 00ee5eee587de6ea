//! The lab itself: what other tests rest on when they say that a packet went, or did
//! not. The overlay here is made by hand, without an agent.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use tests::{
    lab::{
        Container, Fragments, Ground, Lab, Pinger, Stream,
        by_hand::{self, Underlay},
        forged::Forged,
        icmp, ping, ping_sized, tcp,
    },
    process,
    wait::patiently,
};

#[test]
fn several_at_once_have_the_same_addresses() -> Result<()> {
    let one = || -> Result<()> {
        let start = Instant::now();
        let lab = Lab::new(3)?;
        println!("3 hosts after {:?}", start.elapsed());
        for to in [2, 3] {
            let (v4, v6) = (lab.host(to).v4(), lab.host(to).v6());
            assert_eq!(ping(lab.host(1), v4, 3)?.lost(), 0);
            assert_eq!(ping(lab.host(1), v6, 3)?.lost(), 0);
        }
        // Nobody hears who is not there.
        let nobody = Ipv4Addr::new(192, 0, 2, 99);
        assert_eq!(ping(lab.host(1), nobody, 1)?.lost(), 1);
        Ok(())
    };
    thread::scope(|scope| {
        let labs = [(); 3].map(|()| scope.spawn(one));
        labs.map(|lab| lab.join().expect("no panic"))
            .into_iter()
            .collect()
    })
}

#[test]
fn two_hundred_hosts_are_soon_there() -> Result<()> {
    let start = Instant::now();
    let lab = Lab::new(200)?;
    println!("200 hosts after {:?}", start.elapsed());
    assert_eq!(ping(lab.host(1), lab.host(200).v4(), 3)?.lost(), 0);
    assert_eq!(ping(lab.host(200), lab.host(1).v6(), 3)?.lost(), 0);
    Ok(())
}

#[test]
fn a_machine_is_known_to_itself_as_its_own() -> Result<()> {
    let lab = Lab::new(1)?;
    let host = lab.host(1);
    let links = host.json(&["ip", "-j", "link"])?;
    let names = links.as_array().context("links")?.iter();
    let names: Vec<&str> = names.filter_map(|link| link["ifname"].as_str()).collect();
    assert_eq!(names, ["lo", "eth0"]);
    assert_eq!(host.done(&["ls", "/sys/class/net"])?, "eth0\nlo\n");
    assert_eq!(host.done(&["ls", "/run"])?, "");
    assert_eq!(ping(host, Ipv4Addr::LOCALHOST, 1)?.lost(), 0);
    let failed = host.json(&["ip", "-j", "link", "show", "nothing"]);
    let failed = format!("{:#}", failed.expect_err("there is no such device"));
    assert!(failed.contains("\"nothing\" does not exist"), "{failed}");
    Ok(())
}

#[test]
fn containers_of_one_host_reach_each_other() -> Result<()> {
    let lab = Lab::new(1)?;
    let host = lab.host(1);
    host.forward()?;
    let v4 = |last| IpAddr::from(by_hand::v4(1, last));
    let v6 = |last| IpAddr::from(by_hand::v6(1, last));
    let addresses = |last| [v4(last), v6(last)];
    let (one, other) = (
        host.container("one", &addresses(5))?,
        host.container("other", &addresses(6))?,
    );
    let old = host.container("old", &[v4(7)])?;
    let new = host.container("new", &[v6(8)])?;
    for (from, to) in [(&one, &other), (&other, &one), (&one, &old), (&old, &one)] {
        assert_eq!(ping(from, to.v4(), 3)?.lost(), 0, "{from:?} {to:?}");
        tcp(from, to, to.v4(), 1 << 20)?;
    }
    for (from, to) in [(&one, &other), (&other, &one), (&one, &new), (&new, &one)] {
        assert_eq!(ping(from, to.v6(), 3)?.lost(), 0, "{from:?} {to:?}");
        tcp(from, to, to.v6(), 1 << 20)?;
    }
    assert_eq!(ping(host, one.v4(), 3)?.lost(), 0);
    assert_eq!(ping(&old, other.v6(), 3)?.lost(), 3, "it has no IPv6");
    Ok(())
}

#[test]
fn an_overlay_carries_what_its_containers_say() -> Result<()> {
    for underlay in [Underlay::V4, Underlay::V6] {
        let lab = Lab::new(2)?;
        let (one, other) = overlay(&lab, underlay)?;
        for to in [IpAddr::from(other.v4()), IpAddr::from(other.v6())] {
            assert_eq!(ping(&one, to, 3)?.lost(), 0, "{to}");
            assert_eq!(ping(lab.host(1), to, 3)?.lost(), 0, "host to {to}");
            let carried = tcp(&one, &other, to, 3_000_000)?;
            assert!(carried.bytes >= 3_000_000, "{carried:?}");
        }
        let most = u16::try_from(underlay.mtu() - 28)?;
        let whole = |size| ping_sized(&one, other.v4(), 2, size, Fragments::Never);
        assert_eq!(whole(most)?.lost(), 0);
        assert_eq!(whole(most + 1)?.lost(), 2);
    }
    Ok(())
}

#[test]
fn what_goes_on_and_on_tells_of_every_loss() -> Result<()> {
    let lab = Lab::new(2)?;
    let (one, other) = overlay(&lab, Underlay::V4)?;
    let pingers = [
        Pinger::start(&one, other.v4())?,
        Pinger::start(&one, other.v6())?,
    ];
    let streams = [
        Stream::start(&one, &other, other.v4())?,
        Stream::start(&other, &one, one.v6())?,
    ];
    patiently("all of them go", || {
        ensure!(pingers.iter().all(|pinger| pinger.received() > 300));
        ensure!(streams.iter().all(|stream| stream.bytes() > 1 << 20));
        Ok(())
    })?;
    for pinger in pingers {
        let pinged = pinger.finish()?;
        assert_eq!(pinged.lost(), 0, "{pinged:?}");
    }
    for stream in streams {
        let streamed = stream.finish()?;
        assert!(streamed.bytes > 1 << 20, "{streamed:?}");
    }

    let (pinger, stream) = (
        Pinger::start(&one, other.v4())?,
        Stream::start(&one, &other, other.v4())?,
    );
    lab.cut(1, 2)?;
    let silence = Duration::from_millis(300);
    thread::sleep(silence);
    lab.heal()?;
    let before = pinger.received();
    patiently("they go on", || {
        ensure!(pinger.received() > before + 100);
        Ok(())
    })?;
    let pinged = pinger.finish()?;
    assert!(pinged.lost() > 50, "{pinged:?}");
    assert!(pinged.longest_silence >= silence, "{pinged:?}");
    let streamed = stream.finish()?;
    assert!(streamed.longest_pause >= silence, "{streamed:?}");
    Ok(())
}

#[test]
fn hosts_are_parted_and_come_together_again() -> Result<()> {
    parted_and_together(&Lab::new(3)?)
}

/// Hosts 1 and 3 are on one link, 2 is on the other.
#[test]
fn so_are_those_with_a_router_between() -> Result<()> {
    parted_and_together(&Lab::on(Ground::Routed, 3)?)
}

fn parted_and_together(lab: &Lab) -> Result<()> {
    let lost = |from: u32, to: u32| -> Result<u32> {
        let (from, to) = (lab.host(from), lab.host(to));
        Ok(ping(from, to.v4(), 2)?.lost() + ping(from, to.v6(), 2)?.lost())
    };
    // Each knows where the other is before a cut, so that only replies can be missing.
    assert_eq!((lost(1, 2)?, lost(1, 3)?), (0, 0));
    lab.cut(1, 2)?;
    assert_eq!((lost(1, 2)?, lost(1, 3)?, lost(2, 3)?), (4, 0, 0));
    lab.heal()?;
    assert_eq!(lost(1, 2)?, 0);

    let before = icmp::requests_seen(lab.host(2), lab.host(2).v4())?;
    lab.cut_one_way(2, 1)?;
    assert_eq!(ping(lab.host(1), lab.host(2).v4(), 2)?.lost(), 2);
    let seen = icmp::requests_seen(lab.host(2), lab.host(2).v4())? - before;
    assert_eq!(seen, 2, "what was asked arrived");
    lab.heal()?;

    lab.uplink_down(1)?;
    patiently("it has no carrier", || {
        let state = lab.host(1).json(&["ip", "-j", "link", "show", "eth0"])?;
        ensure!(state[0]["operstate"] == "DOWN", "{state}");
        Ok(())
    })?;
    assert_eq!((lost(3, 1)?, lost(2, 3)?), (4, 0));
    lab.uplink_up(1)?;
    patiently("it is there again", || {
        ensure!(lost(3, 1)? == 0);
        Ok(())
    })
}

#[test]
fn a_slow_link_carries_no_more_than_it_says() -> Result<()> {
    let lab = Lab::new(2)?;
    let (one, other) = (lab.host(1), lab.host(2));
    let megabyte = || -> Result<Duration> {
        let start = Instant::now();
        tcp(one, other, other.v4(), 1 << 20)?;
        Ok(start.elapsed())
    };
    lab.slow(2, "20mbit")?;
    // What is let through at once, 32 KB, is not counted.
    let slow = megabyte()?;
    assert!(slow > Duration::from_millis(350), "{slow:?}");
    lab.fast(2)?;
    let shown = other.done(&["tc", "qdisc", "show", "dev", "eth0"])?;
    assert!(!shown.contains("tbf"), "{shown}");
    Ok(())
}

#[test]
fn a_forged_packet_arrives_where_nothing_stops_it() -> Result<()> {
    let lab = Lab::new(2)?;
    let (_, other) = overlay(&lab, Underlay::V4)?;
    let stranger = lab.stranger(99)?;
    let v4 = |host| IpAddr::from(by_hand::v4(host, 5));
    let v6 = |host| IpAddr::from(by_hand::v6(host, 5));
    for (source, target) in [(v4(1), v4(2)), (v6(1), v6(2))] {
        let before = icmp::requests_seen(&other, target)?;
        let forged = Forged {
            vni: by_hand::VNI,
            mac: by_hand::mac(lab.host(2)),
            source,
            target,
        };
        let vtep = SocketAddr::new(lab.host(2).v4().into(), by_hand::PORT);
        forged.send(&stranger, vtep, 3)?;
        patiently("all three are seen", || {
            let seen = icmp::requests_seen(&other, target)? - before;
            ensure!(seen == 3, "{seen} were seen of {forged:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_controller_leases_what_containers_are_given() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", "10.77.0.0/16"])?;
    lab.weft(&["lease", "acquire", "--node", "h2"])?;
    let subnets = lab.weft(&["lease", "list"])?[0]["subnets"].clone();
    let first = lab.container_on(2)?;
    let second = lab.container_on(2)?;
    assert_eq!(subnets, serde_json::json!(["10.77.0.0/24"]));
    assert_eq!(first.v4(), Ipv4Addr::new(10, 77, 0, 2));
    assert_eq!(second.v4(), Ipv4Addr::new(10, 77, 0, 3));
    assert!(lab.container_on(1).is_err(), "it has no lease");

    lab.controllers[0].kill()?;
    let asked = lab.weft_said(&["lease", "list", "--timeout", "2s"])?;
    assert_ne!(asked.code, 0, "{asked:?}");
    lab.controllers[0].start()?;
    assert_eq!(lab.weft(&["lease", "list"])?[0]["subnets"], subnets);
    lab.controllers[0].hush();
    Ok(())
}

#[test]
fn several_controllers_share_an_etcd() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controllers(2, &[])?;
    lab.weft(&["lease", "acquire", "--node", "h1"])?;
    for controller in &mut lab.controllers {
        patiently("both know of the lease", || {
            let leases = controller.weft_json(&["lease", "list"])?;
            ensure!(leases[0]["node"] == "h1", "{leases}");
            Ok(())
        })?;
        controller.hush();
    }
    // A host comes to them by the switch.
    let url = format!("http://{}/readyz", lab.controllers[1].ops_address()?);
    let ready = lab.host(1).run(&["curl", "--silent", "--fail", &url])?;
    assert_eq!(ready.code, 0, "{ready:?}");
    lab.cut_from_controllers(1)?;
    let cut = ["curl", "--silent", "--max-time", "1", &url];
    assert_eq!(lab.host(1).run(&cut)?.code, 28, "it takes too long");
    Ok(())
}

#[test]
fn nothing_is_left_of_one_that_was_dropped() -> Result<()> {
    let lab = Lab::new(2)?;
    let container = lab.host(1).container("c", &[by_hand::v4(1, 5).into()])?;
    let running = container.spawn(&["sleep", "1000"])?;
    let pids = [lab.host(1).pid(), container.pid(), running.pid()];
    let directory = lab.directory().to_owned();
    assert!(pids.iter().all(is_there));
    drop((running, container, lab));
    assert!(!pids.iter().any(is_there));
    assert!(!directory.exists());
    Ok(())
}

#[test]
fn nothing_runs_on_of_one_that_was_killed() -> Result<()> {
    let mut command = process::mortal(std::env::current_exe()?);
    command.args(["--exact", "to_be_killed", "--ignored", "--nocapture"]);
    // It cannot clear up, so that is done here.
    let directory = tempfile::tempdir()?;
    command.env("TMPDIR", directory.path());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut test = process::keep(command)?;
    let stdout = BufReader::new(test.stdout.take().context("its output")?);
    let mut lines = stdout.lines().map_while(Result::ok);
    let pids = lines.find_map(|line| Some(line.split_once("pids ")?.1.to_owned()));
    let pids = pids.context("it tells its processes")?;
    let pids: Vec<u32> = pids.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(is_there));
    test.kill()?;
    test.wait()?;
    patiently("all of it is gone", || {
        ensure!(!pids.iter().any(is_there), "{pids:?}");
        Ok(())
    })
}

#[test]
#[ignore = "is started and killed by another test"]
fn to_be_killed() -> Result<()> {
    let lab = Lab::new(2)?;
    let running = lab.host(1).spawn(&["sleep", "1000"])?;
    println!(
        "pids {} {} {}",
        lab.host(1).pid(),
        lab.host(2).pid(),
        running.pid()
    );
    thread::sleep(Duration::from_secs(60));
    Ok(())
}

/// Two hosts' containers.
fn overlay(lab: &Lab, underlay: Underlay) -> Result<(Container, Container)> {
    let containers = lab.overlay_by_hand(underlay)?;
    let two: Result<[Container; 2], _> = containers.try_into();
    let [one, other] = two.map_err(|all| anyhow!("two hosts, and not {}", all.len()))?;
    Ok((one, other))
}

fn is_there(pid: &u32) -> bool {
    // One that is dead may wait for long until somebody else's parent asks for it.
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}
