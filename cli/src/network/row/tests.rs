use super::*;

fn pool(pool: &str, total: u64, leased: u64, free: u64) -> v1::PoolUse {
    let pool = pool.into();
    let reserved = total - leased - free;
    v1::PoolUse {
        pool,
        total,
        leased,
        reserved,
        free,
    }
}

#[test]
fn a_network_is_as_full_as_its_fuller_pool() {
    let row = NetworkRow::from(v1::Network {
        name: "dual".into(),
        subnet_len4: 24,
        lapse_seconds: 86_400,
        r#use: vec![
            pool("fd00::/48", 65_536, 255, 65_280),
            pool("10.0.0.0/16", 256, 255, 0),
        ],
        ..Default::default()
    });
    assert_eq!(
        (row.total, row.leased, row.reserved, row.free),
        (256, 255, 1, 0)
    );
    assert_eq!(row.used(), "255/256 (99%)");
    assert_eq!((row.subnet_len4, row.subnet_len6), (Some(24), None));
    assert_eq!(row.lapse, "24h");
}

#[test]
fn no_pool_is_no_division() {
    assert_eq!(NetworkRow::from(v1::Network::default()).used(), "0/0 (0%)");
}
