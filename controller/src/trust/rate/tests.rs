use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

#[tokio::test(start_paused = true)]
async fn one_that_asks_too_often_is_stopped_and_the_others_are_not() {
    let rate = Rate::default();
    let taken = (0..100).filter(|_| rate.take(address(1))).count();
    assert_eq!(taken, BURST as usize);
    assert!(rate.take(address(2)));
    tokio::time::advance(EVERY).await;
    assert!(rate.take(address(1)));
    assert!(!rate.take(address(1)));
}

#[tokio::test(start_paused = true)]
async fn many_together_are_bounded_too_and_what_is_remembered_is() {
    let rate = Rate::default();
    let taken = (0..20_000).filter(|n| rate.take(address(*n))).count();
    assert_eq!(taken, BURST_OF_ALL as usize);
    assert_eq!(rate.0.lock().unwrap().each.len(), MOST);
    tokio::time::advance(EVERY * BURST).await;
    assert!(rate.take(address(30_000)));
    assert_eq!(rate.0.lock().unwrap().each.len(), 1);
}
