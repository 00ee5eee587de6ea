use overlay::subnet::Family;

use super::*;

fn probe(from: &str, to: &str, family: Family, verdict: Verdict, loss: f64) -> Probe {
    Probe {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        network: "default".parse().unwrap(),
        family,
        verdict,
        loss,
        probes: 20,
        rtt_us: (verdict != Verdict::Dead).then_some(440),
        worst_us: Some(12_300),
    }
}

#[test]
fn a_cell_is_the_worse_of_both_families() {
    use Family::{V4, V6};
    let probes = [
        probe("a", "b", V4, Verdict::Ok, 0.0),
        probe("a", "b", V6, Verdict::Ok, 0.05),
        probe("a", "c", V4, Verdict::Ok, 0.0),
        probe("a", "c", V6, Verdict::Dead, 1.0),
        probe("b", "a", V4, Verdict::Lossy, 0.25),
        probe("b", "c", V4, Verdict::NoBigPackets, 0.0),
        probe("c", "a", V4, Verdict::New, 0.0),
    ];
    assert_eq!(
        matrix::draw(&probes),
        "\
from \\ to   a          b        c
a           -          0.44ms   DEAD
b           LOST 25%   -        NO BIG PACKETS
c           new        -        -
"
    );
    assert_eq!(matrix::draw(&[]), "no agent has probed another yet\n");
}

#[test]
fn a_row_for_a_person_and_fields_for_programs() {
    let row = ProbeRow(probe("a", "b", Family::V6, Verdict::Lossy, 0.1));
    let cells = [
        "default", "a", "b", "v6", "10%", "0.44ms", "12.3ms", "LOSSY",
    ];
    assert_eq!(row.cells(0), cells);
    let fields = serde_json::to_value(&row).unwrap();
    assert_eq!(fields["from"], "a");
    assert_eq!(
        (&fields["loss"], &fields["verdict"]),
        (&0.1.into(), &"lossy".into())
    );
    assert_eq!(time(1_234_567), "1.23s");
}
