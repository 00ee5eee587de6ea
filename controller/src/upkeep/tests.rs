use super::*;

fn due(node: u32) -> Due {
    let node = format!("n{node:02}").parse().unwrap();
    Due::Reclaim("default".parse().unwrap(), node)
}

#[test]
fn what_cannot_be_settled_does_not_keep_the_rest_waiting() {
    let mut upkeep = Upkeep::new(Patience::default());
    // Nothing of this is ever settled: each is due again in every round.
    let all: Vec<Due> = (0..10).map(due).collect();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.extend(upkeep.round(all.clone(), 4));
    }
    let twice: Vec<Due> = all.iter().chain(&all).cloned().collect();
    assert_eq!(seen, twice);
}

#[test]
fn the_place_of_something_settled_is_no_hole() {
    let mut upkeep = Upkeep::new(Patience::default());
    assert_eq!(
        upkeep.round(vec![due(1), due(2), due(3)], 2),
        [due(1), due(2)]
    );
    assert_eq!(upkeep.round(vec![due(1), due(3)], 2), [due(3), due(1)]);
    assert_eq!(upkeep.round(Vec::new(), 2), []);
    assert_eq!(upkeep.round(vec![due(5)], 2), [due(5)]);
}
