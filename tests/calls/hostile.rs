//! Bad input at the SIP port: nothing ends, nothing leaks, calls go on.

use std::time::Duration;

use telepath_gateway::caller::place_call;
use tokio::net::UdpSocket;

use super::{Exchange, heard_the_echo};
use crate::api::hostile::Noise;
use crate::support::Outcome;

/// Datagrams of each kind.
const FLOOD: u64 = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_noise_at_the_sip_port_ends_neither_the_process_nor_its_service() -> Outcome {
    let mut exchange = Exchange::start().await?;
    let before = exchange.server.open_files()?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let own = socket.local_addr()?;
    let uri = &exchange.trunk.uri;
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
            socket.send_to(&datagram, exchange.server.addresses.sip).await?;
        }
    }
    assert!(exchange.server.is_alive()?);
    assert_eq!(exchange.client.get("/v1/whoami", &exchange.key).await?.status, 200);
    heard_the_echo(&place_call(exchange.call(Duration::from_secs(1))?).await?)?;
    exchange.server.until_metric("telepath_calls_live", 0.0).await?;
    assert!(
        exchange.server.open_files()? <= before + 20,
        "{before} files before, {} after",
        exchange.server.open_files()?
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_at_the_media_port_of_a_call_does_not_end_it() -> Outcome {
    let exchange = Exchange::start().await?;
    let (id, caller) = exchange.live_call().await?;
    let call = exchange.client.get(&format!("/v1/calls/{id}"), &exchange.key).await?.expect(200)?;
    assert_eq!(call["status"], "connected", "{call}");
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    // The ports of the media pool; only the one that is in use has somebody who listens.
    for (seed, port) in (20_000..30_000_u16).step_by(2).enumerate() {
        let mut noise = Noise::new(seed as u64 + 1);
        // A closed port answers with an error on a later send; that is not what is looked at.
        let _ = socket.send_to(&noise.bytes(300), ("127.0.0.1", port)).await;
    }
    let call = exchange.client.get(&format!("/v1/calls/{id}"), &exchange.key).await?.expect(200)?;
    assert_eq!(call["status"], "connected", "{call}");
    caller.abort();
    Ok(())
}
