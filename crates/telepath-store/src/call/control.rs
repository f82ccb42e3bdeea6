//! Implements the gateway's control plane.

use telepath_core::call::{CallEnd, CallStart};
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_core::network_set::NetworkSet;
use telepath_core::ports::{AgentNews, CallControl, ControlUnavailable, PortFuture};
use telepath_core::trunk::{TrunkLookup, TrunkMatch};

use super::write;
use crate::error::StoreError;
use crate::store::Store;

fn unavailable(error: &StoreError) -> ControlUnavailable {
    ControlUnavailable(error.to_string())
}

impl Store {
    async fn write_started(&self, start: CallStart) -> Result<(), StoreError> {
        let (event, node) = (self.new_id(self.now())?, self.cluster.node_id());
        self.backend.write(move |db| Box::pin(write::started(db, start, event, node))).await
    }

    async fn write_news(
        &self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        news: AgentNews,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let change = write::AgentChange { account, call, trunk, news, event_id: self.new_id(now)?, now };
        self.backend.write(move |db| Box::pin(write::agent_news(db, change))).await
    }

    async fn write_ended(&self, end: CallEnd) -> Result<(), StoreError> {
        let now = self.now();
        let events = [self.new_id(now)?, self.new_id(now)?];
        self.backend.write(move |db| Box::pin(write::ended(db, end, events))).await
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

    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move { self.write_started(start.clone()).await.map_err(|error| unavailable(&error)) })
    }

    fn agent_news<'a>(
        &'a self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        news: &'a AgentNews,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move {
            self.write_news(account, call, trunk, news.clone()).await.map_err(|error| unavailable(&error))
        })
    }

    fn call_ended<'a>(&'a self, end: &'a CallEnd) -> PortFuture<'a, Result<(), ControlUnavailable>> {
        Box::pin(async move { self.write_ended(end.clone()).await.map_err(|error| unavailable(&error)) })
    }
}
