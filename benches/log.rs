//! Entries of the request log.

use std::net::{IpAddr, Ipv4Addr};

use telepath_core::clock::Timestamp;
use telepath_core::id::{Id as _, RequestId};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, RouteNumber, SecretMark};
use telepath_core::secret::HashedKey;
use telepath_store::KeyHandle;

/// The address of all requests.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The log entry of an ordinary request.
pub fn answered(hash: &HashedKey, handle: &KeyHandle, at: Timestamp) -> Answered<'static> {
    Answered {
        account: handle.account_id(),
        id: RequestId::from_bytes([7; 16]),
        facts: RequestFacts {
            at,
            caller: RequestCaller::Key { key: handle.key_id(), secret: SecretMark::of(hash) },
            method: RequestMethod::Get,
            status: 200,
            address: ADDRESS,
            duration_us: 100,
            admitted: true,
        },
        route: Some(RouteNumber(0)),
        error: None,
        user_agent: b"telepath-bench/1.0",
        path: None,
    }
}
