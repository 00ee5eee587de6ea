//! Agents find out what does not pass between them, tell it apart, and answer nobody but
//! each other.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use overlay::probe::{
    PORT,
    packet::{Budget, LENGTH, answer, answers, question},
    window::Verdict,
};
use serde_json::{Value, json};
use socket::words::Probe;
use tests::{
    lab::{Agent, Lab, Namespace, ping},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const OFTEN: &[&str] = &["--probe-every", "200ms"];
/// For an answer that comes; one that does not come is missed for as long.
const PATIENCE: Duration = Duration::from_secs(1);

fn lab(hosts: u32, flags: &[&str]) -> Result<(Lab, Vec<Agent>)> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(flags)?;
    Ok((lab, agents))
}

fn probes(agent: &Agent) -> Result<Vec<Probe>> {
    let answer = agent.ops("/probes")?;
    serde_json::from_str(&answer.body).context(answer.body)
}

/// By peer and family.
fn verdicts(agent: &Agent) -> Result<BTreeMap<(String, String), Verdict>> {
    let probes = probes(agent)?.into_iter();
    let place = |probe: &Probe| (probe.to.to_string(), probe.family.to_string());
    Ok(probes.map(|probe| (place(&probe), probe.verdict)).collect())
}

/// Until these are the verdicts of both families on these peers.
fn judged(agent: &Agent, wanted: &[(&str, Verdict)]) -> Result<()> {
    patiently(&format!("verdicts are {wanted:?}"), || {
        let verdicts = verdicts(agent)?;
        for (peer, verdict) in wanted {
            for family in ["v4", "v6"] {
                let found = verdicts.get(&((*peer).to_owned(), family.to_owned()));
                ensure!(found == Some(verdict), "{verdicts:?}");
            }
        }
        Ok(())
    })
}

fn base(agent: &Agent, family: usize) -> Result<IpAddr> {
    let status = agent.status()?;
    let subnet = status["networks"][0]["subnets"][family].as_str();
    let (address, _) = subnet
        .and_then(|subnet| subnet.split_once('/'))
        .context("a subnet")?;
    Ok(address.parse()?)
}

/// What comes back for a packet; none: nothing does.
fn sent(
    place: &Namespace,
    from: Option<IpAddr>,
    to: IpAddr,
    packet: &[u8],
) -> Result<Option<Vec<u8>>> {
    place.inside(|| {
        let any: IpAddr = if to.is_ipv4() {
            [0; 4].into()
        } else {
            [0_u16; 8].into()
        };
        let socket = UdpSocket::bind((from.unwrap_or(any), 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((to, PORT))?;
        socket.send(packet)?;
        let mut answer = vec![0; 2000];
        let length = socket.recv(&mut answer).ok();
        Ok(length.map(|length| answer[..length].to_vec()))
    })
}

#[test]
fn loss_a_hole_for_large_packets_and_a_dead_peer_are_told_apart() -> Result<()> {
    use Verdict::{Dead, Lossy, NoBigPackets, Ok as Fine};
    let (lab, agents) = lab(5, OFTEN)?;
    let all = [("h2", Fine), ("h3", Fine), ("h4", Fine), ("h5", Fine)];
    judged(&agents[0], &all)?;
    let probes = probes(&agents[0])?;
    assert_eq!(probes.len(), 8);
    for probe in &probes {
        let rtt = probe.rtt_us.zip(probe.worst_us);
        let orderly = rtt.is_some_and(|(middle, worst)| 0 < middle && middle <= worst);
        assert!(orderly && probe.from.as_str() == "h1", "{probe:?}");
    }

    lab.lossy(1, 2)?;
    lab.hole(1, 3)?;
    lab.cut(1, 4)?;
    let troubled = [
        ("h2", Lossy),
        ("h3", NoBigPackets),
        ("h4", Dead),
        ("h5", Fine),
    ];
    judged(&agents[0], &troubled)?;
    // Large packets of the other direction pass.
    judged(&agents[2], &[("h1", Fine), ("h4", Fine)])?;
    judged(&agents[3], &[("h1", Dead), ("h5", Fine)])?;

    patiently("the numbers say so", || {
        let loss = |peer: &str| {
            let labels = format!("network=\"default\",peer=\"{peer}\",family=\"v4\"");
            agents[0].metric(&format!("weft_agent_probe_loss_ratio{{{labels}}}"))
        };
        let (lossy, dead, fine) = (loss("h2")?, loss("h4")?, loss("h5")?);
        ensure!(
            lossy > 0.0 && dead > lossy && fine == 0.0,
            "{lossy} {dead} {fine}"
        );
        Ok(())
    })?;
    patiently("the page says so", || {
        let said = agents[0].run(&["status"])?;
        let line = |peer: &str| {
            let mut lines = said.stdout.lines();
            lines
                .find(|line| line.starts_with(peer))
                .unwrap_or_default()
        };
        let words = [("h2", "LOSSY"), ("h3", "NO BIG PACKETS"), ("h4", "DEAD")];
        let all = words.iter().all(|(peer, word)| line(peer).contains(word));
        ensure!(all && line("h5").ends_with('-'), "{}", said.stdout);
        Ok(())
    })?;

    patiently("the fleet's status says so", || {
        let status = lab.weft(&["status"])?;
        let first = listed(&status, "h1")?;
        let told = ["probed", "probes_troubled", "worst_peer", "worst_verdict"];
        let told = told.map(|field| first[field].clone());
        ensure!(
            told == [json!(4), json!(3), json!("h4"), json!("dead")],
            "{status}"
        );
        ensure!(listed(&status, "h5")?["probes_troubled"] == 0, "{status}");
        ensure!(
            status["troubled"] == 3 && status["unknown"] == 0,
            "{status}"
        );
        Ok(())
    })?;
    let mesh = lab.weft(&["mesh"])?;
    let mesh = mesh.as_array().context("a list")?;
    assert_eq!(mesh.len(), 5 * 4 * 2);
    for (from, to, verdict) in [
        ("h1", "h3", "no-big-packets"),
        ("h4", "h1", "dead"),
        ("h5", "h1", "ok"),
    ] {
        let rows = mesh
            .iter()
            .filter(|row| row["from"] == from && row["to"] == to);
        let verdicts: Vec<&Value> = rows.map(|row| &row["verdict"]).collect();
        assert_eq!(verdicts, [verdict, verdict], "{from} to {to}");
    }

    lab.heal()?;
    judged(&agents[0], &all)
}

fn listed<'a>(status: &'a Value, node: &str) -> Result<&'a Value> {
    let mut listed = status["listed"].as_array().context("a list")?.iter();
    let found = listed.find(|line| line["name"] == node);
    found.with_context(|| format!("{node} is not listed: {status}"))
}

#[test]
fn each_controller_knows_its_own_and_all_together_everything() -> Result<()> {
    let mut lab = Lab::new(4)?;
    lab.start_controllers(3, &["--default-network", POOLS])?;
    let _agents = lab.agents(OFTEN)?;
    patiently("all together know every node", || {
        let status = lab.weft(&["status"])?;
        for host in lab.hosts() {
            let line = listed(&status, host.node())?;
            ensure!(line["ready"] == true && line["probed"] == 3, "{status}");
        }
        ensure!(
            status["unknown"] == 0 && status["sessions"] == 4,
            "{status}"
        );
        Ok(())
    })?;
    patiently("what is put back is counted", || {
        let status = lab.weft(&["status"])?;
        if listed(&status, "h1")?["repaired"] == 0 {
            lab.host(1).ip(&["link set weft1 mtu 1300"])?;
            bail!("{status}");
        }
        Ok(())
    })?;

    let mut sessions = 0;
    for controller in &lab.controllers {
        let status = controller.weft_json(&["status"])?;
        let here = status["sessions"].as_u64().context("a number")?;
        assert_eq!(status["unknown"], 4 - here, "{status}");
        let lines = status["listed"].as_array().context("a list")?;
        let known = lines.iter().filter(|line| line["ready"] == true).count();
        assert_eq!((lines.len(), known as u64), (4, here), "{status}");
        sessions += here;
    }
    assert_eq!(sessions, 4);
    Ok(())
}

#[test]
fn an_agent_that_is_down_is_told_from_a_dead_host() -> Result<()> {
    let (lab, mut agents) = lab(2, OFTEN)?;
    judged(&agents[0], &[("h2", Verdict::Ok)])?;
    let (here, there) = (lab.container_on(1)?, lab.container_on(2)?);
    agents[1].kill()?;
    judged(&agents[0], &[("h2", Verdict::NoAgent)])?;
    patiently("packets pass all the same", || {
        let pings = ping(&here, there.v4(), 3)?;
        ensure!(pings.lost() == 0, "{pings:?}");
        Ok(())
    })?;
    agents[1].start()?;
    judged(&agents[0], &[("h2", Verdict::Ok)])?;

    // Whoever remakes the device has it answer again.
    lab.host(2).ip(&["link del weft1"])?;
    judged(&agents[0], &[("h2", Verdict::Ok)])
}

#[test]
fn peers_are_answered_and_nobody_else() -> Result<()> {
    let (lab, agents) = lab(2, &["--probe-every", "off"])?;
    let (near, far) = (lab.container_on(1)?, lab.container_on(2)?);
    let (h1, h2) = (lab.host(1), lab.host(2));
    for family in [0, 1] {
        let (own, peer) = (base(&agents[0], family)?, base(&agents[1], family)?);
        let asked = question(7, LENGTH);
        let answered = patiently("a peer is answered", || {
            sent(h2, Some(peer), own, &asked)?.context("nothing comes back")
        })?;
        assert!(answers(&answered, 7), "{answered:?}");
        let large = sent(h2, Some(peer), own, &question(8, 1400))?;
        assert_eq!(large.map(|answer| answer.len()), Some(LENGTH));

        let reply = answer(&asked).context("an answer")?;
        for nonsense in [&asked[..LENGTH - 1], &reply, &[0; 64]] {
            assert_eq!(sent(h2, Some(peer), own, nonsense)?, None, "{nonsense:?}");
        }
        assert_eq!(
            sent(&far, None, own, &asked)?,
            None,
            "a container of another host"
        );
        assert_eq!(
            sent(&near, None, own, &asked)?,
            None,
            "a container of this host"
        );
    }
    // Nothing listens on the underlay.
    for underlay in [IpAddr::V4(h1.v4()), IpAddr::V6(h1.v6())] {
        assert_eq!(sent(h2, None, underlay, &question(7, LENGTH))?, None);
    }
    assert_eq!(probes(&agents[0])?, []);
    Ok(())
}

#[test]
fn a_flood_is_answered_at_a_bounded_rate() -> Result<()> {
    const QUESTIONS: u64 = 5_000;
    let (lab, agents) = lab(2, &["--probe-every", "off"])?;
    let (own, peer) = (base(&agents[0], 0)?, base(&agents[1], 0)?);
    let asked = question(7, LENGTH);
    patiently("a peer is answered", || {
        sent(lab.host(2), Some(peer), own, &asked)?.context("nothing comes back")
    })?;
    let (answers, passed) = lab.host(2).inside(|| {
        let socket = UdpSocket::bind((peer, 0))?;
        socket.connect((own, PORT))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let began = Instant::now();
        for number in 0..QUESTIONS {
            socket.send(&question(number, LENGTH))?;
        }
        let (mut packet, mut answers) = ([0; LENGTH], 0);
        while socket.recv(&mut packet).is_ok() {
            answers += 1;
        }
        Ok((answers, began.elapsed()))
    })?;
    let rate = f64::from(Budget::A_SECOND);
    let most = rate * (passed.as_secs_f64() + 1.0);
    assert!(
        answers > 0 && f64::from(answers) <= most,
        "{answers} in {passed:?}"
    );
    Ok(())
}
