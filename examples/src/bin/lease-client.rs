//! A client of Weft's API in a page: leases a subnet for a host without an agent,
//! keeps it alive, and gives it back on Ctrl-C.
//!
//!     cargo run -p examples --bin lease-client -- http://127.0.0.1:7440 my-host

use std::{env, time::Duration};

use anyhow::{Context, Result};
use proto::v1::{
    AcquireRequest, ReleaseRequest, RenewRequest, lease_service_client::LeaseServiceClient,
};
use tokio::time::sleep;

const TTL_SECONDS: u64 = 60;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:7440".into());
    let node = args.next().unwrap_or_else(|| "my-host".into());
    let mut leases = LeaseServiceClient::connect(url.clone())
        .await
        .with_context(|| format!("no controller at {url}"))?;

    // Asking again gives the same subnet: a host that restarts keeps its own.
    let acquire = AcquireRequest {
        node: node.clone(),
        ttl_seconds: TTL_SECONDS,
        ..AcquireRequest::default()
    };
    let lease = leases.acquire(acquire).await?.into_inner();
    println!("{node} holds {}", lease.subnets.join(", "));

    let renewals = async {
        loop {
            sleep(Duration::from_secs(TTL_SECONDS / 3)).await;
            let renew = RenewRequest {
                node: node.clone(),
                life: lease.life.clone(),
                ttl_seconds: TTL_SECONDS,
                ..RenewRequest::default()
            };
            // UNAVAILABLE passes; there are two more tries before the time is over.
            if let Err(status) = leases.clone().renew(renew).await {
                eprintln!("not renewed: {}", status.message());
            }
        }
    };
    tokio::select! {
        () = renewals => {}
        _ = tokio::signal::ctrl_c() => {}
    }

    // The life names this very lease: an old release cannot end a newer one.
    let release = ReleaseRequest {
        node: node.clone(),
        life: lease.life,
        ..ReleaseRequest::default()
    };
    leases.release(release).await?;
    println!("{node} gave it back");
    Ok(())
}
