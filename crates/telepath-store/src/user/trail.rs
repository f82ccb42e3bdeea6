//! Audit rows about users: in the chain of one account, or of every account that a user is a member of.

use std::fmt::Display;

use serde_json::{Value, json};
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, UserId};
use telepath_core::user::Role;

use super::{UserError, row};
use crate::audit;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::Connection;

/// What a transaction needs to audit what it does.
pub(super) struct Trail {
    context: StoreContext,
    origin: Origin,
}

impl Trail {
    pub(super) const fn new(context: StoreContext, origin: Origin) -> Self {
        Self { context, origin }
    }

    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) const fn context(&self) -> &StoreContext {
        &self.context
    }

    /// The same for another actor.
    pub(super) fn by(self, actor: Actor) -> Self {
        Self { origin: Origin { actor, ..self.origin }, ..self }
    }

    /// When the change happens.
    pub(super) const fn at(&self) -> Timestamp {
        self.origin.at
    }

    /// Writes a row into the chain of one account.
    pub(super) async fn write(
        &self,
        db: &mut Connection,
        account: AccountId,
        action: AuditAction,
        target: &(dyn Display + Sync),
        (before, after): (Value, Value),
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            id: self.context.new_audit_id(self.at())?,
            account_id: account,
            origin: self.origin,
            action,
            target: target.to_string(),
            before,
            after,
        };
        audit::write(db, &entry).await
    }

    /// Writes a row into the chain of every account that the user is a member of.
    ///
    /// # Errors
    /// [`UserError::NoMembership`] when there is none, because then nothing would be written.
    pub(super) async fn write_everywhere(
        &self,
        db: &mut Connection,
        user: UserId,
        action: AuditAction,
        (before, after): (Value, Value),
    ) -> Result<(), UserError> {
        let memberships = row::memberships(db, user).await?;
        if memberships.is_empty() {
            return Err(UserError::NoMembership);
        }
        for (account, _) in memberships {
            self.write(db, account, action, &user, (before.clone(), after.clone())).await?;
        }
        Ok(())
    }
}

/// A role as an audit row shows it.
pub(super) fn role_field(role: Role) -> Value {
    json!({ "role": role.name() })
}
