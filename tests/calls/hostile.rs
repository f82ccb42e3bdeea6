//! Malformed datagrams at the SIP and RTP ports: the service continues and leaks nothing.

use std::time::Duration;

use telepath_gateway::caller::place_call;
use tokio::net::UdpSocket;

use super::{CallFixture, ensure_echo};
use crate::api::hostile::Noise;
use crate::support::Outcome;

/// Number of datagrams of each kind.
const FLOOD: u64 = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_malformed_datagrams_at_the_sip_port_does_not_stop_the_service() -> Outcome {
    let mut fixture = CallFixture::start().await?;
    let before = fixture.server.open_files()?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let own = socket.local_addr()?;
    let uri = &fixture.trunk.uri;
    let invite = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKnoise;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:+15550100@{own}>;tag=noise\r\nTo: <{uri}>\r\nCall-ID: noise@{own}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:noise@{own}>\r\nContent-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n"
    );
    let register = "REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK-1\r\nContent-Length: 0\r\n\r\n";
    for seed in 1..=FLOOD {
        let mut noise = Noise::new(seed);
        for datagram in
            [noise.bytes(1400), noise.mutate(invite.as_bytes()), noise.mutate(register.as_bytes())]
        {
            socket.send_to(&datagram, fixture.server.addresses.sip).await?;
        }
    }
    assert!(fixture.server.is_alive()?);
    assert_eq!(fixture.client.get("/v1/whoami", &fixture.key).await?.status, 200);
    ensure_echo(&place_call(fixture.call(Duration::from_secs(1))?).await?)?;
    fixture.server.until_metric("telepath_calls_live", 0.0).await?;
    assert!(
        fixture.server.open_files()? <= before + 20,
        "{before} files before, {} after",
        fixture.server.open_files()?
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_datagrams_at_the_rtp_port_do_not_end_the_call() -> Outcome {
    let fixture = CallFixture::start().await?;
    let (id, caller) = fixture.live_call().await?;
    let call = fixture.client.get(&format!("/v1/calls/{id}"), &fixture.key).await?.expect(200)?;
    assert_eq!(call["status"], "connected", "{call}");
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    // All ports of the RTP pool. Only the one of the call is open.
    for (seed, port) in (20_000..30_000_u16).step_by(2).enumerate() {
        let mut noise = Noise::new(seed as u64 + 1);
        // A closed port makes a later send fail (ICMP), which does not matter here.
        let _ = socket.send_to(&noise.bytes(300), ("127.0.0.1", port)).await;
    }
    let call = fixture.client.get(&format!("/v1/calls/{id}"), &fixture.key).await?.expect(200)?;
    assert_eq!(call["status"], "connected", "{call}");
    caller.abort();
    Ok(())
}
