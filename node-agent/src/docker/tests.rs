use axum::{body::to_bytes, http::Uri};
use tempfile::tempdir;
use tokio::sync::mpsc;

use super::*;
use crate::metrics::Metrics;

/// What the driver answers while the owner of endpoints is gone.
async fn said(path: &'static str, body: &'static str) -> (u16, serde_json::Value) {
    let directory = tempdir().unwrap();
    let (notes, keeping) = notes::open(directory.path());
    let (asks, _) = mpsc::channel(1);
    let driver = Driver::new(Door::new(asks, Metrics::default()), notes);
    let body = Bytes::from_static(body.as_bytes());
    let answer = call(With(driver), Method::POST, Uri::from_static(path), body);
    let response = tokio::select! {
        response = answer => response,
        () = keeping => panic!("it keeps notes as long as there is somebody to ask"),
    };
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let text = serde_json::from_slice(&body).unwrap();
    (parts.status.as_u16(), text)
}

#[tokio::test]
async fn what_the_driver_is() {
    let driver = json!({ "Implements": ["NetworkDriver", "IpamDriver"] });
    assert_eq!(said("/Plugin.Activate", "").await, (200, driver));
    let (_, network) = said("/NetworkDriver.GetCapabilities", "{}").await;
    assert_eq!(network["Scope"], "local");
    let (_, ipam) = said("/IpamDriver.GetCapabilities", "{}").await;
    assert_eq!(ipam["RequiresRequestReplay"], true);
    let (_, spaces) = said("/IpamDriver.GetDefaultAddressSpaces", "{}").await;
    assert_eq!(spaces["LocalDefaultAddressSpace"], "weft");
}

#[tokio::test]
async fn what_the_driver_does_not_do() {
    let (code, _) = said("/NetworkDriver.Dance", "{}").await;
    assert_eq!(code, 404);
    for body in ["", "{", "[]", r#"{"NetworkID":7}"#, "\u{0}"] {
        let (code, text) = said("/NetworkDriver.Join", body).await;
        let error = text["Err"].as_str().unwrap();
        assert!(error.starts_with("NetworkDriver.Join: "), "{error}");
        assert_eq!(code, 400, "{body}");
    }
}

#[tokio::test]
async fn each_half_has_its_own_word_for_an_error() {
    let stopping = "the agent is stopping";
    let pool = r#"{"AddressSpace":"weft","Pool":"","SubPool":"","Options":{},"V6":false}"#;
    let answer = said("/IpamDriver.RequestPool", pool).await;
    assert_eq!(answer, (200, json!({ "Error": stopping })));
    let network = r#"{"NetworkID":"a45d","Options":{"com.docker.network.enable_ipv6":false,
        "com.docker.network.generic":{}},"IPv4Data":[{"AddressSpace":"weft",
        "Gateway":"10.31.1.1/24","Pool":"0.0.0.0/0"}],"IPv6Data":[]}"#;
    let answer = said("/NetworkDriver.CreateNetwork", network).await;
    assert_eq!(answer, (200, json!({ "Err": stopping })));
}

/// Docker's own addresses are given out once a host.
#[tokio::test]
async fn addresses_of_other_drivers_are_refused() {
    let network = r#"{"NetworkID":"a45d","Options":{},"IPv4Data":[{"AddressSpace":"LocalDefault",
        "Gateway":"172.18.0.1/16","Pool":"172.18.0.0/16"}],"IPv6Data":null}"#;
    let (_, text) = said("/NetworkDriver.CreateNetwork", network).await;
    let error = text["Err"].as_str().unwrap();
    assert!(error.starts_with("say --ipam-driver weft"), "{error}");
}

#[tokio::test]
async fn what_was_never_there_can_be_deleted() {
    let pool = r#"{"PoolID":"somebody's"}"#;
    assert_eq!(said("/IpamDriver.ReleasePool", pool).await.1, json!({}));
    let address = r#"{"PoolID":"somebody's","Address":"10.0.0.1"}"#;
    let (code, text) = said("/IpamDriver.ReleaseAddress", address).await;
    assert_eq!((code, text), (200, json!({})));
    let network = r#"{"NetworkID":"a45d"}"#;
    let (code, text) = said("/NetworkDriver.DeleteNetwork", network).await;
    assert_eq!((code, text), (200, json!({})));
}
