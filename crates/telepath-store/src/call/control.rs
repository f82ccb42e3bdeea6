//! Implements the gateway's control plane.

use telepath_core::call::{CallEnd, CallStart, DisconnectReason};
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_core::network_set::NetworkSet;
use telepath_core::ports::{AgentEvent, CallControl, ControlUnavailable, PortFuture};
use telepath_core::trunk::{TrunkLookup, TrunkMatch};

use super::write::{self, EndRecorded};
use crate::error::StoreError;
use crate::store::Store;
use crate::trunk::reachability::AgentAttempt;

fn unavailable(error: &StoreError) -> ControlUnavailable {
    ControlUnavailable(error.to_string())
}

impl Store {
    async fn write_started(&self, start: CallStart) -> Result<(), StoreError> {
        let (event, node) = (self.new_id(self.now())?, self.cluster.node_id());
        self.backend.write(move |db| Box::pin(write::started(db, start, event, node))).await
    }

    async fn write_agent_event(
        &self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        event: AgentEvent,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let record =
            write::AgentEventRecord { account, call, trunk, agent: event, event_id: self.new_id(now)?, now };
        if self.backend.write(move |db| Box::pin(write::agent_event(db, record))).await? {
            self.record_agent_attempt(account, trunk, AgentAttempt::Reached).await?;
        }
        Ok(())
    }

    async fn write_ended(&self, end: CallEnd) -> Result<(), StoreError> {
        let now = self.now();
        let events = [self.new_id(now)?, self.new_id(now)?];
        let (account, trunk) = (end.account_id, end.trunk_id);
        let unreached = (end.reason == DisconnectReason::ConnectionFailed)
            .then(|| end.reason_text.clone().unwrap_or_else(|| "the agent could not be reached".to_owned()));
        let ended = self.backend.write(move |db| Box::pin(write::ended(db, end, events))).await?;
        if let (Some(why), EndRecorded::Now) = (unreached, ended) {
            self.record_agent_attempt(account, trunk, AgentAttempt::Failed(why)).await?;
        }
        Ok(())
    }
}

impl CallControl for Store {
    fn find_trunk<'a>(
        &'a self,
        lookup: &'a TrunkLookup,
    ) -> PortFuture<'a, Result<TrunkMatch, ControlUnavailable>> {
        Box::pin(async move { self.trunk_for_call(lookup).await.map_err(|error| unavailable(&error)) })
    }

    fn trusted_networks(&self) -> PortFuture<'_, Result<NetworkSet, ControlUnavailable>> {
        Box::pin(async move { self.allowed_ips_of_trunks().await.map_err(|error| unavailable(&error)) })
    }

    fn trusted_networks_changed(&self) -> PortFuture<'_, ()> {
        Box::pin(self.cluster.trunk_networks_changed())
    }

    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move { self.write_started(start.clone()).await.map_err(|error| unavailable(&error)) })
    }

    fn agent_event<'a>(
        &'a self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        event: &'a AgentEvent,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.write_agent_event(account, call, trunk, event.clone())
                .await
                .map_err(|error| unavailable(&error))
        })
    }

    fn call_ended<'a>(&'a self, end: &'a CallEnd) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move { self.write_ended(end.clone()).await.map_err(|error| unavailable(&error)) })
    }
}
